"""Ctrl-C in the middle of a command: one sentence, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time

from commands.main import INTERRUPTED
from freshet.settings import PROJECT_ROOT


def start(home, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "commands.main", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "FRESHET_HOME": str(home), "FRESHET_DEMO_EVENTS": "20000", "FRESHET_DEMO_USERS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell runs in the background is deaf to Ctrl-C, and so are the tests there and all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def books(home):
    done = start(home, "data", "report", "--json")
    out, error = done.communicate(timeout=120)
    assert done.returncode == 0, error
    return out


def test_an_interrupted_ingestion_says_so_and_goes_on_to_the_same_books(tmp_path):
    whole = start(tmp_path / "whole", "ingest", "demo")
    assert whole.wait(300) == 0
    process = start(tmp_path / "home", "ingest", "demo")
    while process.poll() is None and not any((tmp_path / "home").rglob("*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED
    assert error.splitlines()[-1].startswith("freshet: stopped; nothing is half done")
    again = start(tmp_path / "home", "ingest", "demo")
    assert again.wait(300) == 0
    assert books(tmp_path / "home") == books(tmp_path / "whole")
