import json
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from commands.processes import ProcessError, Processes, only_run_in, require_free_port

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT_OF_SLEEPER = [
    sys.executable,
    "-c",
    f"import subprocess, time; subprocess.Popen({SLEEPER!r}); time.sleep(60)",
]


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.fixture
def stranger():
    """A process that we did not start, which must survive everything."""
    process = subprocess.Popen(SLEEPER)
    yield process
    assert process.poll() is None
    process.kill()
    process.wait()


def test_stopping_ends_children_and_grandchildren_and_nobody_else(tmp_path, stranger):
    processes = Processes(tmp_path)
    processes.start("parent", PARENT_OF_SLEEPER, {})
    parent = psutil.Process(json.loads((tmp_path / "run.json").read_text())[0]["pid"])
    wait_until(lambda: parent.children())
    family = [parent, *parent.children()]
    processes.stop()
    assert not any(process.is_running() for process in family)
    assert not (tmp_path / "run.json").exists()


def test_a_child_that_ignores_the_request_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("commands.processes.STOP_SECONDS", 0.5)  # a shorter clock, the same path
    processes = Processes(tmp_path)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    processes.start("stubborn", [sys.executable, "-c", stubborn], {})
    wait_until(lambda: (tmp_path / "logs" / "stubborn.log").read_text() == "up\n")
    processes.stop()
    processes.check()


def test_a_dead_child_is_reported_with_the_end_of_its_log(tmp_path):
    processes = Processes(tmp_path)
    processes.start("short", [sys.executable, "-c", "raise SystemExit('the reason')"], {})
    wait_until(lambda: "the reason" in (tmp_path / "logs" / "short.log").read_text())
    with pytest.raises(ProcessError, match=r"(?s)short ended with code 1.*the reason"):
        wait_until(lambda: processes.check())
    processes.stop()


def test_what_a_killed_run_left_behind_is_stopped_by_the_next(tmp_path, stranger):
    script = (
        "import time; from pathlib import Path; from commands.processes import Processes;"
        f"Processes(Path({str(tmp_path)!r})).start('orphan', {SLEEPER!r}, {{}}); "
        "print('up', flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert run.stdout.readline() == b"up\n"
    orphan = psutil.Process(json.loads((tmp_path / "run.json").read_text())[0]["pid"])
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert orphan.is_running()
    assert Processes(tmp_path).stop_leftovers() == 1
    wait_until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)


def test_a_reused_pid_is_left_alone(tmp_path, stranger):
    (tmp_path / "run.json").write_text(json.dumps([{"name": "old", "pid": stranger.pid, "create_time": 1.0}]))
    assert Processes(tmp_path).stop_leftovers() == 0


def test_a_second_run_in_the_same_home_is_refused(tmp_path):
    with only_run_in(tmp_path), pytest.raises(ProcessError, match="another `freshet run`"), only_run_in(tmp_path):
        pass


def test_a_busy_port_is_named_with_its_setting():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(ProcessError, match=rf"port {port} is in use.*FRESHET_API_PORT"):
            require_free_port(port, "FRESHET_API_PORT")
