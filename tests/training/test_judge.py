import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet.settings import Settings
from training.baseline_tuning import Budget
from training.dataset import DatasetError

BUDGET = Budget(trials=2, trainings=1, epochs=1)


@pytest.fixture(scope="module")
def quick_config(small_config):
    return replace(small_config, epochs=1)


@pytest.fixture(scope="module")
def settings(world_settings: Settings) -> Settings:
    return world_settings


@pytest.fixture(scope="module")
def judged(settings: Settings, quick_config):
    from training.judge import judge
    from training.judgement import Plan

    return judge(settings, quick_config, Plan("successive", seeds=2, budget=BUDGET))


@pytest.fixture(scope="module")
def judgement(judged):
    return judged[0]


def test_everybody_is_on_the_table_with_an_interval(judgement):
    rows = {row.model: row for row in judgement.rows if row.part == "all"}
    assert {"recommender", "only_text", "ease", "ials", "rp3beta", "sasrec", "text_knn", "popularity"} <= set(rows)
    assert all(row.low <= row.ndcg_at_10 <= row.high for row in rows.values())
    assert rows["recommender"].ndcg_at_10 > rows["popularity"].ndcg_at_10
    assert rows["popularity"].difference_low > 0


def test_p_values_are_those_of_the_baselines_after_holm(judgement):
    tested = {row.model: row.p_value for row in judgement.rows if row.p_value is not None}
    assert set(tested) == set(judgement.settings)
    assert tested["popularity"] < 0.05
    assert all(row.p_value is None for row in judgement.rows if row.part != "all")


def test_every_fit_is_timed_and_measured(judgement):
    assert set(judgement.seconds) == set(judgement.numbers) == set(judgement.settings) | {"recommender"}
    assert judgement.numbers["popularity"] == 0
    assert judgement.numbers["recommender"] > judgement.numbers["item_knn"] > 0
    assert judgement.trials["ease"] <= 2


def test_figures_are_there_at_five_ten_and_twenty(judgement):
    for model, figures in judgement.at_cuts.items():
        assert figures["recall@5"] <= figures["recall@10"] <= figures["recall@20"], model
    whole = next(row for row in judgement.rows if (row.model, row.part) == ("ease", "all"))
    assert judgement.at_cuts["ease"]["ndcg@10"] == pytest.approx(whole.ndcg_at_10)
    assert judgement.of_lists["popularity"]["serendipity"] == 0
    assert judgement.of_lists["ease"]["calibration"] < judgement.of_lists["popularity"]["calibration"]


def test_the_results_of_every_user_are_kept(judged):
    judgement, folder = judged
    table = pq.read_table(folder / "per_user.parquet")
    rows = table.filter((np.array(table["model"]) == "ease") & (np.array(table["slice"]) == "all")).to_pylist()
    mean = np.average([row["ndcg_at_10"] for row in rows], weights=[row["n_events"] for row in rows])
    assert mean == pytest.approx(judgement.at_cuts["ease"]["ndcg@10"])


def test_a_second_call_finds_what_the_first_made(settings, judged, quick_config):
    from training.judge import judge
    from training.judgement import Plan

    judgement, folder = judged
    (folder / "judgement.json").unlink()
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    again, _ = judge(settings, quick_config, Plan("successive", seeds=2, budget=BUDGET))
    assert again == judgement
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")} == times


def test_baselines_alone_are_compared_with_the_best_linear_one(settings, quick_config):
    from training.judge import judge
    from training.judgement import Plan

    plan = Plan("global-repeats", budget=BUDGET, baselines_only=True)
    judgement, _ = judge(settings, quick_config, plan)
    assert judgement.reference in ("ease", "ials", "item_knn", "rp3beta")
    assert "own_history" in judgement.settings
    assert not any(row.model == "recommender" for row in judgement.rows)


@pytest.mark.parametrize(("protocol", "favours_new"), [("successive", True), ("global-repeats", False)])
def test_new_items_are_favoured_where_lists_show_only_what_is_new(settings, quick_config, protocol, favours_new):
    from training.judge import judge
    from training.judgement import Plan

    _, folder = judge(settings, quick_config, Plan(protocol, budget=replace(BUDGET, trials=1)))
    [choices] = folder.rglob("choices.json")
    assert ("favouring_new" in json.loads(choices.read_text())["blend_report"]) is favours_new


def test_rolling_origins_are_judged_together_whatever_heads_each_uses(settings, quick_config):
    from training.judge import judge
    from training.judgement import Plan

    plan = Plan("rolling", budget=replace(BUDGET, trials=1))
    judgement, folder = judge(settings, quick_config, plan)
    parts = {row.model for row in judgement.rows if row.model.startswith("without_")}
    assert len(parts) > 1
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["origin_70", "origin_80", "origin_90"]
    whole = next(row for row in judgement.rows if (row.model, row.part) == ("ease", "all"))
    assert whole.n_events > 250  # three tenths of a thousand, without repeats and hides


def test_one_mlflow_run_holds_the_judgement(settings, judged, quick_config):
    from training.judgement_log import EXPERIMENT, log_judgement
    from training.judgement_table import written
    from training.tracking import client_of

    judgement, folder = judged
    (folder / "table.md").write_text(written(judgement))
    run_id = log_judgement(settings.tracking_uri, judgement, quick_config, folder)
    assert log_judgement(settings.tracking_uri, judgement, quick_config, folder) == run_id
    client = client_of(settings.tracking_uri)
    run = client.get_run(run_id)
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert run.data.metrics["ease/ndcg_at_10"] == pytest.approx(judgement.at_cuts["ease"]["ndcg@10"])
    assert {each.path for each in client.list_artifacts(run_id, "evaluation")} == {
        f"evaluation/{name}" for name in ("judgement.json", "per_user.parquet", "table.md")
    }


def test_the_table_names_split_seeds_and_every_baseline(judgement):
    from training.judgement_table import written

    table = written(judgement)
    assert "events after the 90 % quantile" in table
    assert "2 seeds (0, 1)" in table
    first_cells = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")}
    assert {"recommender", "only_text", "inside_session", *judgement.settings} <= first_cells


def test_a_judgement_survives_its_file(judged):
    from training.judgement import Judgement

    judgement, folder = judged
    assert Judgement.load(folder / "judgement.json") == judgement
    assert json.loads((folder / "judgement.json").read_text())["protocol"] == "successive"


def test_a_protocol_that_does_not_fit_is_refused(settings, tmp_path, quick_config):
    from training.judge import judge
    from training.judgement import Plan

    with pytest.raises(DatasetError, match="missing"):
        judge(settings.model_copy(update={"home": tmp_path}), quick_config, Plan())
