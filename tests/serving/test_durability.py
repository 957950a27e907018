"""What was acknowledged survives the death of the process the next instant, exactly once."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing

import httpx
import pytest

from ingestion.event_log import SqliteEventLog
from ingestion.live_items import SqliteLiveItems


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(tmp_path):
    """A real server process on a home of its own; yields (process, address, home)."""
    port = free_port()
    environment = {**os.environ, "FRESHET_HOME": str(tmp_path), "FRESHET_API_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-c", "from commands.serve import serve; serve()"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process, f"http://127.0.0.1:{port}", tmp_path
    process.kill()
    process.communicate()


def wait_until_healthy(address):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return httpx.get(address + "/healthz", timeout=5).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(address)


def test_acknowledged_events_survive_kill_9_exactly_once(server):
    process, address, home = server
    wait_until_healthy(address)
    acknowledged = []

    def post_until_it_dies(sender):
        number = 0
        with httpx.Client(base_url=address, timeout=10) as client:
            while True:
                batch = [
                    {"event_id": f"{sender}-{number + k}", "event_type": "view", "user_id": "u1", "item_id": "i1"}
                    for k in range(5)
                ]
                try:
                    if client.post("/v1/events", json=batch).status_code == 202:
                        acknowledged.extend(event["event_id"] for event in batch)
                except httpx.TransportError:
                    return
                number += 5

    senders = [threading.Thread(target=post_until_it_dies, args=(sender,)) for sender in range(3)]
    for sender in senders:
        sender.start()
    while len(acknowledged) < 100:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    for sender in senders:
        sender.join()
    log = SqliteEventLog(home / "log" / "events.db")
    stored = [event.event_id for _, event in log.read(0, 1_000_000)]
    log.close()
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)


def test_an_acknowledged_item_survives_kill_9(server):
    process, address, home = server
    wait_until_healthy(address)
    assert httpx.put(f"{address}/v1/items/i1", json={"title": "A lamp"}, timeout=30).status_code == 200
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    with closing(SqliteLiveItems(home / "log" / "items.db")) as items:
        [change] = items.read(0, 10)
    assert (change.item.item_id, change.item.title) == ("i1", "A lamp")


def test_sigterm_ends_it_after_the_impressions_are_written(server):
    process, address, home = server
    wait_until_healthy(address)
    with httpx.Client(base_url=address) as client:
        client.post("/v1/events", json={"event_type": "view", "user_id": "u1", "item_id": "i1"})
        while not client.get("/v1/users/u2/recommendations").json()["items"]:
            time.sleep(0.1)
        shown = client.get("/v1/users/u2/recommendations").json()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    log = SqliteEventLog(home / "log" / "events.db")
    logged = {event.recommendation_id for _, event in log.read(0, 1_000)}
    log.close()
    assert shown["recommendation_id"] in logged


def test_a_busy_port_is_one_sentence(server):
    _, address, _ = server
    wait_until_healthy(address)
    port = address.rpartition(":")[2]
    environment = {**os.environ, "FRESHET_API_PORT": port}
    second = subprocess.run(
        [sys.executable, "-c", "from commands.serve import serve; serve()"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert "Address already in use" in second.stderr
    assert "FRESHET_API_PORT" in second.stderr
