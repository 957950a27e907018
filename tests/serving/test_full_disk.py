"""A disk without room, because it is a small one of its own: whatever writes says 507, and mends by itself."""

import subprocess

import pytest
from starlette.testclient import TestClient

from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from serving.app import create_app


@pytest.fixture
def small_disk(tmp_path):
    """Two megabytes, mounted where the home is."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "freshet", str(tmp_path)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a disk of one's own needs Linux and root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def fill(path):
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError:
            pass


def event(number):
    return {"event_id": f"e{number}", "event_type": "view", "user_id": "u1", "item_id": "i1"}


def test_whatever_cannot_be_kept_on_a_full_disk_is_507_until_there_is_room(small_disk):
    with TestClient(create_app(Settings(home=small_disk / "home"))) as api:
        ballast, acknowledged = small_disk / "ballast", 0
        fill(ballast)
        # What a log has once grown to it fills again, so a few still fit.
        while (answer := api.post("/v1/events", json=event(acknowledged))).status_code == 202:
            acknowledged += 1
        refused = [
            answer,
            api.post("/v1/events", json=[event(1_000), {"event_type": "none"}]),
            api.put("/v1/items/i1", json={"title": "A lamp", "description": "x" * 30_000}),
            api.delete("/v1/users/u1"),
        ]
        for each in refused:
            assert each.status_code == 507, each.text
            assert each.headers["content-type"] == "application/problem+json"
            assert each.headers["retry-after"] == "30"
            assert (each.json()["title"], each.json()["status"]) == ("Insufficient Storage", 507)
            assert "disk is full" in each.json()["detail"]
        assert api.get("/v1/users/u2/recommendations").status_code == 200
        ballast.unlink()
        assert api.post("/v1/events", json=event(acknowledged)).json()["accepted"] == 1
        assert api.put("/v1/items/i1", json={"title": "A lamp"}).status_code == 200
        assert api.delete("/v1/users/u1").status_code == 202
        log = SqliteEventLog(small_disk / "home" / "log" / "events.db")
        stored = [each.event_id for _, each in log.read(0, 10_000) if each.event_type == "view"]
        log.close()
    assert stored == [f"e{number}" for number in range(acknowledged + 1)]
