"""Who is erased is unknown to the next answer, and nothing brings back what they did."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from freshet.feature_store import materialize
from nearline.offsets import SqliteOffsets
from nearline.verification import verify_features
from nearline.worker import CONSUMER
from serving.app import create_app


@pytest.fixture
def settings(world, tmp_path):
    """A copy of the world, in which "reader" has a history."""
    home = tmp_path / "home"
    shutil.copytree(world.settings.home, home, ignore=shutil.ignore_patterns("log"))
    return world.settings.model_copy(update={"home": home})


@pytest.fixture
def open_world(settings, eventually):
    """A function that starts the API, ready."""

    def start():
        api = TestClient(create_app(settings))
        api.__enter__()
        opened.append(api)
        assert eventually(lambda: api.get("/readyz").status_code == 200), api.get("/readyz").json()
        assert eventually(lambda: not api.get("/readyz").json()["warnings"]), api.get("/readyz").json()
        return api

    opened = []
    yield start
    for api in opened:
        api.__exit__(None, None, None)


def tell(api, item, **event):
    told = api.post("/v1/events", json={"event_type": "view", "user_id": "reader", "item_id": item, **event})
    assert told.status_code == 202
    return told.json()["freshness_token"]


def known(api, token=None, user="reader"):
    """What they are shown, and what their profile says of them."""
    answer = api.post("/v1/recommendations", json={"user_id": user, "n": 100, "min_freshness_token": token}).json()
    assert answer["degraded"] == []
    profile = api.get(f"/v1/users/{user}/profile").json()
    events = [event["item_id"] for event in profile["recent_events"]]
    shown = [(item["item_id"], item["source"]) for item in answer["items"]]
    return shown, answer["features_as_of"], profile["activity"], profile["is_known"], events


def unknown(api):
    return known(api, user="stranger")


def test_an_erased_user_is_unknown_at_once(open_world):
    api = open_world()
    before = known(api, tell(api, "sea-5"))
    assert before[3:] == (True, ["sea-5", "food-0", "gone-1", "sea-4"])
    receipt = api.delete("/v1/users/reader")
    assert receipt.status_code == 202
    assert receipt.json()["user_id"] == "reader"
    assert known(api) == unknown(api)
    assert known(api, receipt.json()["freshness_token"]) == unknown(api)


def test_no_late_event_no_batch_and_no_replay_brings_an_erased_user_back(open_world, settings):
    api = open_world()
    tell(api, "sea-5")
    api.delete("/v1/users/reader")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert known(api, tell(api, "sea-6", occurred_at=yesterday.isoformat())) == unknown(api)
    materialize(settings.home, full=True)  # from exports of before
    assert known(api) == unknown(api)
    api.__exit__(None, None, None)
    with closing(SqliteOffsets(settings.offsets_path)) as offsets:
        offsets.commit(CONSUMER, 0)
    again = open_world()
    assert known(again) == unknown(again)
    assert all(not report.mismatches for report in verify_features(settings))


def test_who_has_the_id_afterwards_is_another_user(open_world, settings):
    api = open_world()
    tell(api, "sea-5")
    api.delete("/v1/users/reader")
    token = tell(api, "space-1")
    assert known(api, token)[3:] == (True, ["space-1"])
    materialize(settings.home, full=True)
    assert known(api)[3:] == (True, ["space-1"])
    assert api.get("/v1/users/reader/profile").json()["n_seen_items"] == 1
    assert all(not report.mismatches for report in verify_features(settings))


def test_a_user_nobody_has_met_is_erased_likewise(open_world):
    assert open_world().delete("/v1/users/nobody").status_code == 202


def test_what_an_erased_user_was_shown_is_gone(open_world):
    api = open_world()
    shown = api.get("/v1/users/reader/recommendations").json()["recommendation_id"]
    assert api.get(f"/v1/recommendations/{shown}").status_code == 200
    api.delete("/v1/users/reader")
    assert api.get(f"/v1/recommendations/{shown}").status_code == 404


def test_an_erasure_is_asked_for_and_not_sent_as_an_event(cold_api):
    answer = cold_api.post("/v1/events", json={"event_type": "erasure", "user_id": "reader"})
    assert answer.status_code == 422
    assert "DELETE /v1/users/{user_id}" in answer.json()["detail"]


def test_an_erasure_that_cannot_be_kept_is_refused(open_world, settings):
    api = open_world()
    with closing(sqlite3.connect(settings.log_path, timeout=30, isolation_level=None)) as log:
        log.execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'disk is full'); END")
        answer = api.delete("/v1/users/reader")
        log.execute("DROP TRIGGER full")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert known(api)[3]
