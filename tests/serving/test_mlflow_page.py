"""The pages in MLflow that the front page and Airflow link to, in a real browser."""

import json
import os
import subprocess
from contextlib import ExitStack
from urllib.parse import quote

import mlflow
import pytest

from commands.services import QUIET, answers, mlflow_command
from freshet.settings import Settings
from serving.platform_status import MLFLOW, platform_status
from tests.judged import results_per_user
from training.promotion import promote
from training.registry import version_url
from training.tracking import training_run

pytestmark = pytest.mark.slow


@pytest.fixture
def serve_mlflow(free_ports, eventually):
    """A function that starts MLflow's server on a home's registry, and returns the settings that name its port."""
    with ExitStack() as running:

        def start(settings):
            settings = settings.model_copy(update={"mlflow_port": free_ports(1)[0]})
            server = subprocess.Popen(mlflow_command(settings), env=os.environ | QUIET, stdout=subprocess.DEVNULL)
            running.callback(server.wait, timeout=60)
            running.callback(server.terminate)
            assert eventually(lambda: answers(f"{settings.mlflow_url}/health"), 120)
            return settings

        yield start


def test_the_link_to_the_champion_leads_to_its_version_with_alias_and_reason(serve_mlflow, open_page, world):
    status = platform_status(serve_mlflow(world.settings), [MLFLOW])
    assert status.service(MLFLOW).state == "answers"
    with open_page(status.champion.url) as page:
        page.shows(f"Version {world.versions[0]}", "champion", "Verdict: champion. Why: the first", "verdict_reason")


def test_the_page_of_a_version_that_did_not_go_live_begins_with_the_reason(
    serve_mlflow, open_page, register_evaluated, tmp_path
):
    settings = Settings(home=tmp_path / "home")
    champion = register_evaluated(settings.tracking_uri, results_per_user(0.08))
    assert promote(settings.tracking_uri, champion).promoted
    worse = register_evaluated(settings.tracking_uri, results_per_user(0.04))
    assert not promote(settings.tracking_uri, worse).promoted
    settings = serve_mlflow(settings)
    with open_page(version_url(settings.mlflow_url, worse)) as page:
        why = "may be worse than the champion: -50.0%"
        page.shows(f"Version {worse}", f"Verdict: challenger. Why: {why}", "verdict_reason")
        page.wait_for("/@\\s*challenger/.test(document.body.innerText)", "the alias")
        page.go(version_url(settings.mlflow_url, champion))
        page.shows(f"Version {champion}", "Verdict: champion. Why: the first champion; popularity: +300.0%")


def test_two_trainings_stand_beside_each_other_metric_by_metric(serve_mlflow, open_page, tmp_path):
    settings = Settings(home=tmp_path / "home")
    runs = []
    for ndcg in (0.0512, 0.0733):
        with training_run(settings.tracking_uri, f"train {ndcg}") as run:
            mlflow.log_metrics({"test/recommender/ndcg_at_10": ndcg, "test/ease/ndcg_at_10": 0.0405})
            mlflow.log_param("epochs", 3)
        runs.append(run.info)
    settings = serve_mlflow(settings)
    asked = {"runs": [run.run_id for run in runs], "experiments": [runs[0].experiment_id]}
    query = "&".join(f"{name}={quote(json.dumps(ids))}" for name, ids in asked.items())
    with open_page(f"{settings.mlflow_url}/#/experiments/{runs[0].experiment_id}") as page:
        page.go(f"{settings.mlflow_url}/#/compare-runs?{query}")
        figures = ("test/recommender/ndcg_at_10", "0.051", "0.073")
        page.shows("Comparing 2 Runs", "train 0.0512", "train 0.0733", *figures, "epochs")
