"""Serving follows the champion alias, refuses what is broken, and answers on while the registry is away."""

import shutil
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from ingestion.event_log import SqliteEventLog
from serving.app import create_app
from serving.champion import load_model
from training.bundle import write_bundle, write_manifest
from training.llm_recommender import LLMRecommender
from training.registry import champion, download, get_version, make_champion

FIRST = {1: ["sea-0", "sea-1", "sea-2"], 2: ["space-0", "space-1", "space-2"]}
"""What each version recommends to a stranger: version 1 is for the sea, version 2 for space."""


def served(api):
    model = api.get("/readyz").json()["model"]
    return None if model is None else int(model["version"])


def ask(api):
    answer = api.get("/v1/users/stranger/recommendations", params={"n": 3})
    assert answer.status_code == 200
    return answer.json()


def item_ids(answer):
    return [item["item_id"] for item in answer["items"]]


def test_a_moved_alias_is_followed_without_a_failed_or_mixed_answer(home_with_registry, eventually):
    settings, (first, second) = home_with_registry
    expected = {str(first): FIRST[1], str(second): FIRST[2]}
    answers, stop = [], threading.Event()

    def keep_asking(api):
        while not stop.is_set():
            answers.append(ask(api))

    with TestClient(create_app(settings)) as api:
        assert eventually(lambda: served(api) == first)
        askers = [threading.Thread(target=keep_asking, args=(api,)) for _ in range(4)]
        for asker in askers:
            asker.start()
        make_champion(settings.tracking_uri, second, "better")
        assert eventually(lambda: served(api) == second)
        make_champion(settings.tracking_uri, first, "rolled back")
        assert eventually(lambda: served(api) == first)
        stop.set()
        for asker in askers:
            asker.join()
    assert {answer["model"]["version"] for answer in answers} == set(expected)
    assert all(item_ids(answer) == expected[answer["model"]["version"]] for answer in answers)


def test_a_damaged_champion_is_refused_and_the_old_one_serves_on(home_with_registry, registry, eventually):
    settings, (first, second) = home_with_registry
    with TestClient(create_app(settings)) as api:
        assert eventually(lambda: served(api) == first)
        make_champion(settings.tracking_uri, second, "better")
        assert eventually(lambda: served(api) == second)
        # Its local copy goes, and what is fetched instead is damaged on its way.
        copy = next((settings.models_dir / "bundles").glob(f"*-{first}-*"))
        shutil.rmtree(copy)
        original = artifact_of(settings, registry[0].parent, first)
        content = original.read_bytes()
        original.write_bytes(content[:-1] + b"?")
        try:
            make_champion(settings.tracking_uri, first, "rolled back")
            assert eventually(lambda: any("refused" in warning for warning in api.get("/readyz").json()["warnings"]))
        finally:
            original.write_bytes(content)
        ready = api.get("/readyz").json()
        assert ready["model"]["version"] == str(second)
        assert f"champion version {first} was refused, version {second} serves on" in ready["warnings"][0]
        assert item_ids(ask(api)) == FIRST[2]
        figures = api.get("/metrics").text
        assert 'freshet_model_loads_total{outcome="refused"} 1.0' in figures
        assert f'freshet_model_info{{alias="champion",name="freshet-recommender",version="{second}"}} 1.0' in figures


def test_a_version_that_loads_but_cannot_score_is_refused(home_with_registry, tmp_path):
    settings, (first, _) = home_with_registry
    found = champion(settings.tracking_uri)
    folder = tmp_path / "bundle"
    shutil.copytree(download(found, settings.models_dir), folder)
    broken = LLMRecommender.load(folder / "recommender")
    broken.item_vectors[:] = np.nan
    items = pq.read_table(folder / "items.parquet")
    write_bundle(folder, broken, items, text_encoder={}, data={}, config={}, created_from={})
    with pytest.raises(ValueError, match="30 items need as many finite scores"):
        load_model(first, folder)


def test_a_version_whose_items_cannot_be_read_is_refused(home_with_registry, tmp_path):
    settings, (first, _) = home_with_registry
    folder = tmp_path / "bundle"
    shutil.copytree(download(champion(settings.tracking_uri), settings.models_dir), folder)
    items = pq.read_table(folder / "items.parquet")
    pq.write_table(items.rename_columns({"item_id": "id"}), folder / "items.parquet")
    write_manifest(folder, text_encoder={}, data={}, config={}, created_from={})
    with pytest.raises(KeyError, match="item_id"):
        load_model(first, folder)


def test_answers_go_on_while_the_registry_is_away(home_with_registry, eventually):
    settings, (first, _) = home_with_registry
    database = settings.mlflow_dir / "mlflow.db"
    away = database.with_suffix(".away")
    with TestClient(create_app(settings)) as api:
        assert eventually(lambda: served(api) == first)
        database.rename(away)
        assert eventually(lambda: "registry" in ask(api)["degraded"])
        assert item_ids(ask(api)) == FIRST[1]
        away.rename(database)
        assert eventually(lambda: "registry" not in ask(api)["degraded"])


def test_a_restart_without_the_registry_serves_the_local_copy(home_with_registry, eventually):
    settings, (first, _) = home_with_registry
    with TestClient(create_app(settings)) as api:
        assert eventually(lambda: served(api) == first)
    shutil.rmtree(settings.mlflow_dir)
    with TestClient(create_app(settings)) as api:
        assert eventually(lambda: served(api) == first)
        assert eventually(lambda: "registry" in ask(api)["degraded"])
        assert item_ids(ask(api)) == FIRST[1]


def test_a_restarted_process_knows_the_model_in_its_first_answer(home_with_registry, eventually):
    settings, (first, _) = home_with_registry
    with TestClient(create_app(settings)) as api:
        assert eventually(lambda: api.get("/readyz").json()["model"])
    with TestClient(create_app(settings)) as api:
        answer = ask(api)
        assert answer["items"]
        assert answer["model"]["version"] == str(first)


def test_a_first_champion_is_noticed_by_a_running_api(home_with_registry, eventually):
    settings, (first, _) = home_with_registry
    database = settings.mlflow_dir / "mlflow.db"
    later = database.with_suffix(".later")
    database.rename(later)
    with TestClient(create_app(settings)) as api:
        assert "model" in ask(api)["degraded"]
        later.rename(database)
        assert eventually(lambda: served(api) == first)
        assert "model" not in ask(api)["degraded"]


def test_impressions_of_every_answer_reach_the_log(home_with_registry, eventually):
    settings, (first, _) = home_with_registry
    with TestClient(create_app(settings)) as api:
        assert eventually(lambda: served(api) == first)
        shown = [ask(api)["recommendation_id"] for _ in range(50)]
    log = SqliteEventLog(settings.log_path)
    logged = [event.recommendation_id for _, event in log.read(0, 10_000)]
    log.close()
    assert all(logged.count(recommendation_id) == 3 for recommendation_id in shown)


def artifact_of(settings, registry_folder, version):
    """The weights of one version where MLflow keeps them."""
    model_id = get_version(settings.tracking_uri, version).source.rpartition("/")[2]
    [weights] = registry_folder.rglob(f"{model_id}/**/recommender/tables.safetensors")
    return weights
