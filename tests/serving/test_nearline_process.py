"""Two API processes and a nearline worker of its own over one home: whoever tells and whoever is asked, it is known."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow

STANDS_BY = "another process is the nearline worker of this home: standing by"


@dataclass
class Process:
    """One command over the home, and what it has said so far."""

    process: subprocess.Popen
    output: Path
    address: str = ""

    def has_said(self, words, times=1):
        return self.output.read_text().count(words) >= times

    def is_whole(self):
        """It is ready, and has read all there is, popularity too."""
        try:
            answer = httpx.get(self.address + "/readyz", timeout=10)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["warnings"] == []

    def told(self, user, item_id):
        event = {"event_type": "click", "user_id": user, "item_id": item_id}
        answer = httpx.post(self.address + "/v1/events", json=event, timeout=30)
        assert answer.status_code == 202, answer.text
        return answer.json()["freshness_token"]

    def asked(self, user, token):
        wanted = {"user_id": user, "n": 100, "min_freshness_token": token}
        return httpx.post(self.address + "/v1/recommendations", json=wanted, timeout=30).json()

    def lacks(self, user, item_id, token):
        """What an answer with this token had to do without, the event among it if the item is still on the list."""
        answer = self.asked(user, token)
        return answer["degraded"] + [item["item_id"] for item in answer["items"] if item["item_id"] == item_id]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start(world, tmp_path):
    """A function that starts a command over a copy of the world."""
    home = tmp_path / "home"
    shutil.copytree(world.settings.home, home, ignore=shutil.ignore_patterns("log"))
    with ExitStack() as running:

        def started(name, command):
            port, output = free_port(), tmp_path / f"{name}.log"
            environment = {**os.environ, "FRESHET_HOME": str(home), "FRESHET_API_PORT": str(port)}
            with output.open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "commands.main", command], env=environment, stdout=log, stderr=log
                )
            running.callback(process.wait)
            running.callback(process.kill)
            return Process(process, output, f"http://127.0.0.1:{port}")

        yield started


def test_a_token_that_one_api_gave_holds_at_the_other_whoever_folds(start, eventually):
    first = start("first", "serve")
    assert eventually(first.is_whole), first.output.read_text()
    second = start("second", "serve")
    assert eventually(lambda: second.is_whole() and second.has_said(STANDS_BY)), second.output.read_text()
    assert second.lacks("u1", "sea-1", first.told("u1", "sea-1")) == []
    assert first.lacks("u1", "sea-2", second.told("u1", "sea-2")) == []

    worker = start("worker", "nearline")
    assert eventually(lambda: first.has_said(STANDS_BY)), worker.output.read_text()
    for number in range(8):
        teller, asked = (first, second) if number % 2 else (second, first)
        assert asked.lacks("u2", f"food-{number}", teller.told("u2", f"food-{number}")) == []

    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    token = first.told("u3", "sea-1")
    assert eventually(lambda: second.lacks("u3", "sea-1", token) == [])
    assert first.lacks("u3", "sea-2", second.told("u3", "sea-2")) == []

    n_said = sum(api.output.read_text().count(STANDS_BY) for api in (first, second))
    again = start("again", "nearline")
    assert eventually(lambda: sum(api.output.read_text().count(STANDS_BY) for api in (first, second)) > n_said)
    assert second.lacks("u4", "sea-1", first.told("u4", "sea-1")) == []
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(timeout=30) == 0
