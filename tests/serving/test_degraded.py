"""A part that stops is named in ``degraded``; answers go on, and whole ones come back when the part does."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from freshet.settings import Settings
from serving.app import create_app


@pytest.fixture
def settings(world, tmp_path):
    """A copy of the world, to be broken."""
    home = tmp_path / "home"
    shutil.copytree(world.settings.home, home, ignore=shutil.ignore_patterns("log"))
    return Settings(home=home, champion_poll_seconds=0.2)


@pytest.fixture
def api(settings):
    with TestClient(create_app(settings)) as api:
        yield api


def ask(api, user, **options):
    answer = api.post("/v1/recommendations", json={"user_id": user, **options})
    assert answer.status_code == 200
    return answer.json()


def test_whoever_asks_first_gets_a_whole_answer(api):
    assert ask(api, "reader")["degraded"] == []
    ready = api.get("/readyz").json()
    assert (ready["reasons"], ready["warnings"]) == ([], [])


def rename_tables(settings, pattern, to):
    """Take the online store's tables away, or bring them back."""
    connection = sqlite3.connect(settings.feast_dir / "online.db", timeout=30, isolation_level=None)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for name in names:
        if pattern in name and "sqlite_" not in name:
            connection.execute(f'ALTER TABLE "{name}" RENAME TO "{to(name)}"')
    connection.close()


def test_answers_go_on_without_the_online_store(api, settings, eventually):
    rename_tables(settings, "", lambda name: f"{name}_away")
    answer = ask(api, "reader", n=3)
    assert "online_store" in answer["degraded"]
    assert [item["source"] for item in answer["items"]] == ["cold_start"] * 3
    token = api.post("/v1/events", json={"event_type": "view", "user_id": "reader", "item_id": "sea-5"}).json()
    assert "freshness" in ask(api, "reader", min_freshness_token=token["freshness_token"])["degraded"]
    assert eventually(lambda: any("nearline worker" in reason for reason in api.get("/readyz").json()["reasons"]))
    assert api.get("/v1/users/reader/profile").json()["degraded"] == ["online_store"]
    assert 'freshet_degraded_answers_total{missing="online_store"}' in api.get("/metrics").text
    rename_tables(settings, "_away", lambda name: name.removesuffix("_away"))
    assert eventually(lambda: api.get("/readyz").status_code == 200)
    answer = ask(api, "reader", n=100, min_freshness_token=token["freshness_token"])
    assert answer["degraded"] == []
    assert "sea-5" not in [item["item_id"] for item in answer["items"]]  # the event waited in the log


def test_answers_go_on_while_events_are_refused(api, settings, eventually):
    with sqlite3.connect(settings.log_path, timeout=30, isolation_level=None) as log:
        refused = "BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
        log.execute(f"CREATE TRIGGER refused {refused}")
        answer = api.post("/v1/events", json={"event_type": "view", "user_id": "reader", "item_id": "sea-5"})
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "disk is full" in answer.json()["detail"]
        assert eventually(lambda: ask(api, "reader")["degraded"] == ["event_log"])
        assert api.get("/readyz").json()["warnings"] == ["event log: it cannot be written: events are refused"]
        log.execute("DROP TRIGGER refused")
    log.close()
    assert eventually(lambda: ask(api, "reader")["degraded"] == [])


def test_an_event_log_that_stands_still_keeps_nobody_from_an_answer(api, settings):
    with sqlite3.connect(settings.log_path, timeout=30, isolation_level=None) as log, ThreadPoolExecutor(60) as pool:
        log.execute("BEGIN IMMEDIATE")
        told = {"event_type": "view", "user_id": "reader", "item_id": "sea-5"}
        waiting = [pool.submit(api.post, "/v1/events", json=told) for _ in range(60)]
        while not any(event.running() for event in waiting):
            pass
        assert ask(api, "reader")["items"]
        assert not all(event.done() for event in waiting)
        log.execute("ROLLBACK")
    log.close()
    assert {event.result().status_code for event in waiting} <= {202, 503}


def test_a_catalogue_that_changes_is_noticed(api, settings, eventually):
    path = settings.features_dir / "dim_items.parquet"
    table = pq.read_table(path)
    is_gone = pc.equal(table["item_id"], "sea-0")
    changed = table.set_column(
        table.column_names.index("is_available"), "is_available", pc.and_(table["is_available"], pc.invert(is_gone))
    )
    pq.write_table(changed, path.with_suffix(".partial"))
    path.with_suffix(".partial").replace(path)
    assert eventually(lambda: "sea-0" not in [item["item_id"] for item in ask(api, "stranger")["items"]], 30)


def test_many_users_at_once_each_see_their_own_click(api):
    def click_and_ask(number):
        user, item = f"crowd-{number}", f"food-{number % 9}"
        click = {"event_type": "click", "user_id": user, "item_id": item}
        token = api.post("/v1/events", json=click).json()["freshness_token"]
        answer = ask(api, user, n=100, min_freshness_token=token)
        return item, [each["item_id"] for each in answer["items"]], answer["degraded"]

    with ThreadPoolExecutor(8) as pool:
        for item, shown, degraded in pool.map(click_and_ask, range(80)):
            assert degraded == []
            assert item not in shown
            assert shown[0].startswith("food")
