import json
import shutil

import pytest

from freshet.settings import Settings


@pytest.fixture(scope="module")
def result(settings: Settings, small_config):
    from training.train import train

    return train(settings, small_config)


@pytest.fixture(scope="module")
def run(settings: Settings, result):
    from training.tracking import client_of

    return client_of(settings.tracking_uri).get_run(result.run_id)


def test_training_beats_popularity_and_becomes_champion(result):
    assert result.verdict is not None
    assert result.verdict.promoted, result.verdict.reason
    for model in ("recommender", "ease", "item_knn", "popularity", "popularity_7d"):
        assert f"| {model} |" in result.table


def test_the_run_holds_figures_with_intervals(run):
    figures = run.data.metrics
    for name in ("recommender", "ease", "popularity"):
        prefix = f"test/{name}/ndcg_at_10"
        assert figures[f"{prefix}_lower"] <= figures[prefix] <= figures[f"{prefix}_upper"]
    assert figures["test/recommender/ndcg_at_10"] > figures["test/popularity/ndcg_at_10"]
    assert figures["gate/a"] > 0
    assert any(name.startswith("slice_first_of_session/recommender") for name in figures)


def test_the_run_names_its_data_and_its_whole_configuration(run):
    assert {each.dataset.name for each in run.inputs.dataset_inputs} == {
        "dim_item_versions",
        "fct_item_tags",
        "fct_training_sequences",
        "fct_item_popularity_daily",
    }
    assert run.data.params["item_item.ridge"] == "5"
    assert run.data.tags["data.content_hash"]


def test_tables_plots_and_card_are_artifacts_of_the_run(settings, result):
    from training.tracking import client_of, read_text_artifact

    client = client_of(settings.tracking_uri)
    names = {artifact.path for artifact in client.list_artifacts(result.run_id, "evaluation")}
    assert {
        "table.json",
        "table.md",
        "per_user.parquet",
        "slices.png",
        "learning_curve.png",
        "coverage.png",
        "weights.png",
        "calibration.json",
        "calibration.png",
        "debias.json",
        "debias.md",
        "debias.png",
    } == {name.removeprefix("evaluation/") for name in names}
    card = read_text_artifact(settings.tracking_uri, result.run_id, "model_card.md")
    commit = client.get_run(result.run_id).data.tags["git_commit"]
    assert f"Code: `{commit}`" in card


def test_the_bundle_holds_the_model_of_all_data(settings, result):
    from training import registry
    from training.bundle import load_bundle
    from training.dataset import read_marts

    champion = registry.champion(settings.tracking_uri)
    assert champion is not None and champion.version == result.version
    bundle = load_bundle(registry.download(champion, settings.models_dir))
    marts = read_marts(settings.features_dir)
    assert bundle.manifest.data["until_us"] == marts.last_moment
    assert bundle.recommender.n_items == len(marts.tables["dim_item_versions"])
    assert bundle.recommender.sequence is not None
    assert bundle.items.column("item_id").to_pylist() == bundle.recommender.item_ids


def test_training_again_on_the_same_data_does_nothing(settings, result, caplog, small_config):
    from training.train import fit_and_evaluate

    assert fit_and_evaluate(settings, small_config) == result.run_id


def test_a_run_killed_before_its_end_is_continued_to_the_same_bundle(settings, result, monkeypatch, small_config):
    from training import train as module

    (folder,) = (settings.models_dir / "training").glob("*/bundle")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    (folder.parent / "run_id").unlink()
    shutil.rmtree(folder.parent / "final")

    class Killed(Exception):
        pass

    def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(module, "log_run", kill)
    with pytest.raises(Killed):
        module.fit_and_evaluate(settings, small_config)
    monkeypatch.undo()
    run_id = module.fit_and_evaluate(settings, small_config)
    assert run_id != result.run_id
    again = json.loads((folder / "manifest.json").read_text())["files"]
    weights = [name for name in files if name.endswith((".npy", ".safetensors"))]
    assert {name: again[name] for name in weights} == {name: files[name] for name in weights}


def test_a_challenger_is_compared_with_the_champion_on_its_own_holdout(settings, result, small_config):
    from dataclasses import replace

    from training.dataset import read_marts
    from training.train import train

    earlier = read_marts(settings.features_dir).cuts()[1]
    other = train(settings, replace(small_config, as_of=earlier, epochs=0))
    assert other.version > result.version
    assert other.verdict is not None


def test_feast_is_told_of_its_features_when_it_is_first_asked(world_home, tmp_path):
    import numpy as np

    from freshet.feature_store import FeatureStoreError
    from training.activity import interactions_as_of

    shutil.copytree(world_home / "features", tmp_path / "home" / "features")
    known = interactions_as_of(tmp_path / "home", ["u00", "nobody"], np.array([1_780_000_000_000_000] * 2))
    assert 15 <= known[0] <= 18
    assert known[1] == 0
    with pytest.raises(FeatureStoreError, match="run `freshet transform` first"):
        interactions_as_of(tmp_path / "empty", ["u00"], np.array([1_780_000_000_000_000]))


def test_feast_counts_what_was_known_on_the_day(settings):
    from datetime import UTC, datetime

    import numpy as np

    from training.activity import interactions_as_of

    moments = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)]
    known = interactions_as_of(settings.home, ["u00", "u00"], np.array([int(m.timestamp() * 1e6) for m in moments]))
    assert known[0] == 0
    assert 15 <= known[1] <= 18
