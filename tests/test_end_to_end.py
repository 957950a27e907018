"""The product in one page: `make run` brings a world from raw events to an endpoint that reacts to a click."""

import csv
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import psutil
import pytest
from httpx import HTTPStatusError

from freshet.airflow_api import AirflowApi
from freshet.settings import PROJECT_ROOT, Settings
from tests.airflow_page import logged_in
from tests.chain_world import SMALLER, World, make_run, movielens_folder
from tests.conftest import SMALL_WORLD

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["movielens-small", "demo"])
def world(request, tmp_path_factory, free_ports, outside_environment):
    if request.param == "movielens-small" and movielens_folder(outside_environment) is None:
        pytest.skip("no MovieLens under FRESHET_DATASETS_DIR: the chain was NOT tested on real data")
    home = tmp_path_factory.mktemp(request.param)
    api, mlflow, airflow = free_ports(3)
    environment = {
        **outside_environment,
        "FRESHET_HOME": str(home),
        "FRESHET_API_PORT": str(api),
        "FRESHET_MLFLOW_PORT": str(mlflow),
        "FRESHET_AIRFLOW_PORT": str(airflow),
        **SMALLER,
    }
    finished = make_run(environment, f"DATASET={request.param}")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    settings = Settings(home=home, dataset=request.param, api_port=api, mlflow_port=mlflow, airflow_port=airflow)
    return World(request.param, settings, environment, finished.stdout)


@pytest.fixture(scope="module")
def champion(world):
    from training.registry import champion

    return champion(world.settings.tracking_uri)


@pytest.fixture(scope="module")
def api(world):
    from fastapi.testclient import TestClient

    from serving.app import create_app

    with TestClient(create_app(world.settings)) as client:
        end = time.monotonic() + 120
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < end, client.get("/readyz").text
            time.sleep(0.2)
        yield client


def test_the_run_shows_a_reaction_to_a_click_and_opens_the_windows(world):
    assert re.search(r"from the click to the list that knows of it: \d+ ms", world.output)
    assert "Where the time went" in world.output
    assert "peak memory of all processes" in world.output
    for port in (world.settings.airflow_port, world.settings.mlflow_port, world.settings.api_port):
        assert f"http://127.0.0.1:{port}" in world.output
    assert re.search(r"login admin / \w+", world.output)


def test_every_process_that_was_started_is_gone(world):
    assert not (world.settings.home / "run.json").exists()
    mine = str(world.settings.home)
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FRESHET_HOME") == mine and process.pid != os.getpid():
                left.append(process.cmdline())
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    assert left == []


def test_counts_add_up_from_raw_rows_to_marts(world):
    counts = world.query("select * from 'FEATURES/fct_ingestion_counts.parquet'")
    assert counts
    unequal = world.query(
        "select * from 'FEATURES/fct_ingestion_counts.parquet' where n_landed <> n_accepted + n_duplicate + n_rejected"
    )
    assert unequal == []
    accepted = world.query(
        "select sum(n_accepted) from 'FEATURES/fct_ingestion_counts.parquet' where record_type = 'event'"
    )
    in_lake = world.query("select count(*) from 'LAKE/events/*/*.parquet'")
    assert accepted == in_lake
    interactions = world.query("select count(*) from fct_interactions")
    in_sequences = world.query("select sum(n_events) from 'FEATURES/fct_training_sequences.parquet'")
    assert interactions == in_sequences


@pytest.mark.parametrize("world", ["movielens-small"], indirect=True)  # its original files can be counted without us
def test_every_original_rating_and_tag_is_accounted_for(world):
    folder = movielens_folder(world.environment)
    rows = {}
    for name in ("ratings", "tags", "movies"):
        with (folder / f"{name}.csv").open(newline="") as file:
            rows[name] = sum(1 for _ in csv.reader(file)) - 1
    landed = dict(
        world.query("select record_type, sum(n_landed) from 'FEATURES/fct_ingestion_counts.parquet' group by 1")
    )
    assert landed["event"] == rows["ratings"] + rows["tags"]
    assert landed["item"] == rows["movies"]
    assert world.query("select count(*) from fct_interactions") == [(rows["ratings"],)]


def test_the_champion_beats_popularity_and_does_not_fall_below_ease(world, champion):
    from training.comparison import PerUser, lift
    from training.promotion import PER_USER, RECOMMENDER_NAME
    from training.tracking import read_table_artifact

    table = read_table_artifact(world.settings.tracking_uri, champion.run_id, PER_USER)
    results = PerUser.from_table(table)
    trivial = [model for model in results.models if model.startswith("popularity")]
    assert len(trivial) == 2
    for model in trivial:
        assert lift(results.pair(RECOMMENDER_NAME, results, model)).low > 0
    ease = next(model for model in results.models if model.startswith("ease"))
    assert lift(results.pair(RECOMMENDER_NAME, results, ease)).mean >= 0


def test_the_lineage_of_the_champion_is_written_on_its_run(world, champion):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=world.settings.tracking_uri, registry_uri=world.settings.tracking_uri)
    run = client.get_run(champion.run_id)
    assert run.inputs.dataset_inputs or any("data" in tag for tag in run.data.tags)
    assert champion.description
    assert champion.tags["verdict"] == "champion"


def test_the_api_answers_what_the_model_itself_would(world, champion, api):
    from freshet.feature_store import open_store
    from nearline.user_states import FeastUserStates
    from serving.online_features import FeastOnlineFeatures
    from training.bundle import load_bundle
    from training.history import History
    from training.registry import download

    recommender = load_bundle(download(champion, world.settings.models_dir)).recommender
    store = open_store(world.settings.home)
    index_of = {item_id: index for index, item_id in enumerate(recommender.item_ids)}
    counts = FeastOnlineFeatures(lambda: store).popularity(list(index_of)).counts
    popularity = np.array([counts.get(item_id, (0, 0, 0, 0)) for item_id in recommender.item_ids], dtype=np.float32)
    users = world.query(
        "select user_id from 'FEATURES/fct_training_sequences.parquet' where n_events > 5 order by user_id limit 5"
    )
    for (user_id,) in users:
        state = FeastUserStates(lambda: store).load([user_id])[user_id]
        known = [event for event in state.recent if not event.is_negative and event.item_id in index_of]
        history = History(
            np.array([index_of[event.item_id] for event in known], dtype=np.int32),
            np.array([event.occurred_at_us for event in known], dtype=np.int64),
        )
        now = int(datetime.now(UTC).timestamp() * 1e6)
        scores = recommender.score(history, now, popularity)
        scores[[index_of[item_id] for item_id in state.seen if item_id in index_of]] = -np.inf
        expected = [recommender.item_ids[index] for index in np.argsort(-scores, kind="stable")[:10]]
        answer = api.get(f"/v1/users/{user_id}/recommendations", params={"n": 10}).json()
        assert [item["item_id"] for item in answer["items"]] == expected
        assert answer["model"]["version"] == str(champion.version)
        assert answer["degraded"] == []


def somebody(world):
    """A user with a history of about 25 events."""
    ((user_id,),) = world.query(
        "select user_id from 'FEATURES/fct_training_sequences.parquet' order by abs(n_events - 25), user_id limit 1"
    )
    return user_id


def test_after_a_click_the_list_differs_the_item_is_gone_and_its_neighbours_rise(world, api):
    user_id = somebody(world)
    before = api.post("/v1/recommendations", json={"user_id": user_id, "n": 100}).json()
    clicked = before["items"][0]["item_id"]
    near = [item["item_id"] for item in api.get(f"/v1/items/{clicked}/similar", params={"n": 10}).json()["items"]]
    click = {"event_type": "click", "user_id": user_id, "item_id": clicked}
    token = api.post("/v1/events", json=click).json()["freshness_token"]
    after = api.post("/v1/recommendations", json={"user_id": user_id, "n": 100, "min_freshness_token": token}).json()
    old = {item["item_id"]: item["rank"] for item in before["items"]}
    new = {item["item_id"]: item["rank"] for item in after["items"]}
    assert list(old) != list(new)
    assert clicked not in new
    moved = [old.get(item, 101) - new.get(item, 101) for item in near if item in old or item in new]
    assert sum(moved) > 0


@pytest.mark.parametrize("world", ["demo"], indirect=True)
def test_a_second_run_finds_everything_done(world):
    again = make_run(world.environment, "DATASET=demo")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "the chain is done already" in again.stdout
    assert re.search(r"from the click to the list that knows of it: \d+ ms", again.stdout)


@pytest.mark.parametrize("world", ["demo"], indirect=True)
def test_another_dataset_in_the_same_home_is_refused_in_one_sentence(world):
    command = [str(PROJECT_ROOT / ".venv/bin/freshet"), "ingest", str(SMALL_WORLD)]
    refused = subprocess.run(
        command, cwd=PROJECT_ROOT, env=world.environment, capture_output=True, text=True, timeout=120
    )
    assert refused.returncode == 1
    assert "FRESHET_HOME" in refused.stderr


@pytest.fixture(scope="module")
def windows(world):
    """Airflow, MLflow and the API over what the run has left, as `make ui` opens them."""
    command = [sys.executable, "-m", "commands.main", "run", "--windows-only"]
    opened = subprocess.Popen(command, cwd=PROJECT_ROOT, env=world.environment, stdout=subprocess.PIPE, text=True)
    said = []
    for line in opened.stdout:
        said.append(line)
        if "Your windows" in line:
            break
    assert "Your windows" in said[-1], said
    yield world.settings
    opened.terminate()
    opened.communicate(timeout=120)


@pytest.fixture(scope="module")
def browsing(windows, open_page):
    """A browser that has logged in to Airflow with the password that Airflow generated."""
    with logged_in(open_page, windows) as page:
        yield page


@pytest.fixture
def airflow(windows, browsing):
    """Airflow's page of the training."""
    browsing.go(f"{windows.airflow_url}/dags/retrain_recommender")
    browsing.shows("find_reason", "fit_and_evaluate", "promote", "Failed Runs")
    browsing.errors.clear()
    return browsing


on_the_demo = pytest.mark.parametrize("world", ["demo"], indirect=True)


@on_the_demo
def test_the_training_has_a_page_that_says_what_it_makes_and_why_it_may_not_go_live(airflow, keep_picture):
    keep_picture(airflow, "airflow-dag.png")
    airflow.click("button", "Dag Docs")
    airflow.shows("Makes an MLflow run with every figure and plot", "Why did it not go live?", "When it fails:")
    assert airflow.errors == []


@on_the_demo
def test_its_form_explains_every_field_and_lets_nothing_out_of_range_through(windows, airflow, keep_picture):
    airflow.click("button", "Trigger")
    airflow.shows("Text backbone", "Epochs", "Passes of the sequence head at most. Empty: the setting", "Seed")
    airflow.shows("Budget in minutes", "Promotion", "if_better: the gate decides. never: register as challenger only.")
    keep_picture(airflow, "airflow-form.png")
    airflow.write("input[name=element_epochs]", "500")
    airflow.wait_for("document.querySelector('input[name=element_epochs]').value === '200'", "a mended number")
    with AirflowApi(windows) as asked:
        asked.log_in()
        with pytest.raises(HTTPStatusError, match="400"):
            asked.trigger("retrain_recommender", conf={"epochs": 500})
    assert airflow.errors == []


@on_the_demo
def test_two_clicks_lead_from_the_training_to_the_verdict_and_its_reason(windows, airflow, champion, keep_picture):
    airflow.click("a[id^='grid-asset'][id$='-promote']")
    airflow.shows(f"version {champion.version} is champion: {champion.tags['verdict_reason'][:40]}")
    airflow.go(airflow.wait_for(f"document.querySelector(\"a[href*=':{windows.mlflow_port}/']\")?.href"))
    airflow.shows(f"Version {champion.version}", f"Verdict: champion. Why: {champion.tags['verdict_reason'][:40]}")
    airflow.shows("NDCG@10 [95 %]", "data.content_hash", "test/ease/ndcg_at_10")
    airflow.wait_for("/@\\s*champion/.test(document.body.innerText)", "the alias")
    airflow.click("button", "Close")  # MLflow's own assistant
    keep_picture(airflow, "mlflow-version.png")


@on_the_demo
def test_a_task_of_the_training_leads_to_its_run_its_data_and_the_lineage(windows, airflow, champion):
    airflow.click("a[id^='grid-asset'][id$='-promote']")
    airflow.click("a", "Details")
    airflow.shows("Extra Links")
    script = "Object.fromEntries([...document.querySelectorAll('a')].map((link) => [link.innerText, link.href]))"
    links = airflow.evaluate(script)
    assert airflow.errors == []
    airflow.go(links["MLflow run"])
    airflow.shows("test/recommender/ndcg_at_10", f"v{champion.version}")
    airflow.go(links["MLflow run"] + "/artifacts/evaluation/slices.png")
    airflow.shows("model_card.md", "learning_curve.png", "calibration.png")
    airflow.wait_for("[...document.images].some((image) => image.naturalWidth > 400)", "a plot")
    airflow.go(links["Data report"])
    airflow.shows("What landed, and what became of it", "demo")
    airflow.go(links["dbt docs"])
    airflow.shows("Lineage Graph", "Exposures")


@on_the_demo
def test_the_graph_of_the_assets_leads_from_the_events_to_the_champion(windows, airflow, keep_picture):
    airflow.go(f"{windows.airflow_url}/assets")
    airflow.click("a", "champion")
    chain = ("events", "build_marts", "marts", "refresh_features", "online_features", "retrain_recommender")
    airflow.shows(*chain, "choose_champion", "Producing Tasks")
    keep_picture(airflow, "airflow-assets.png")
    assert airflow.errors == []


@on_the_demo
def test_the_shop_shows_what_a_click_moves_and_why_each_item_is_there(windows, world, open_page, keep_picture):
    with open_page(f"{windows.api_url}/shop?user={somebody(world)}") as page:
        page.resize(1100, 900)
        page.wait_for("document.querySelectorAll('#list li').length === 10", "a list")
        page.evaluate("document.querySelectorAll('#list button.click')[0].click()")
        page.wait_for("[...document.querySelectorAll('.moved')].some((moved) => moved.textContent)", "what moved")
        page.shows("click to the list that knows of it")
        page.evaluate("document.querySelector('#why summary').click()")
        page.shows("The session counts a = ", "Interests: ")
        keep_picture(page, "shop.png")
        assert page.errors == []
