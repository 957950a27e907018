"""Start child processes, notice when one dies, and stop all of them, their descendants too, and nothing else.

Every child gets its own session, so that Ctrl-C reaches only us and we decide the order. What runs is written down in
the home; a run that was killed outright is cleaned up by the next one, which recognises its processes by pid and
start time.
"""

import contextlib
import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_SECONDS = 10.0
"""How long a process may take to leave after SIGTERM before it is killed."""


class ProcessError(RuntimeError):
    """A process could not start, died, or another run holds the home; the message says what to do."""


@dataclass(frozen=True)
class Child:
    """One process that we started."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path


@contextlib.contextmanager
def only_run_in(home: Path) -> Iterator[None]:
    """Hold the home's lock, so that two runs never share databases. Raises ProcessError when another holds it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProcessError(
                f"another `freshet run` is using {home}: stop it, or take another home with FRESHET_HOME=…"
            ) from None
        yield


def require_free_port(port: int, setting: str) -> None:
    """Raise ProcessError naming the port and its setting when something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ProcessError(
                f"port {port} is in use: stop what listens there, or set another one with {setting}=…"
            ) from None


class Processes:
    """The child processes of one run."""

    def __init__(self, home: Path) -> None:
        self._record = home / "run.json"
        self._logs = home / "logs"
        self._children: list[Child] = []

    def stop_leftovers(self) -> int:
        """Stop what an earlier run left behind when it was killed outright; returns how many processes that were."""
        if not self._record.exists():
            return 0
        recorded = json.loads(self._record.read_text())
        leftovers = [process for entry in recorded for process in _same_process(entry["pid"], entry["create_time"])]
        stopped = _stop_trees(leftovers)
        self._record.unlink()
        return stopped

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a process whose output goes to ``logs/<name>.log``."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log_path = self._logs / f"{name}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(Child(name, process, log_path))
        self._write_record()

    def check(self) -> None:
        """Raise ProcessError with the end of its log when a process has died."""
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                end = "\n".join(child.log_path.read_text(errors="replace").splitlines()[-15:])
                raise ProcessError(f"{child.name} ended with code {code}; the end of {child.log_path}:\n{end}")

    def memory_bytes(self) -> int:
        """Memory of all processes and their descendants; pages that forks share count once where the system tells."""
        total = 0
        for child in self._children:
            for process in _tree(child.process.pid):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    full = process.memory_full_info()
                    total += getattr(full, "pss", full.rss)
        return total

    def mapped_bytes(self) -> int:
        """The part of it that lies in files as well, which the system takes back when it must; 0 where nobody says."""
        total = 0
        for child in self._children:
            for process in _tree(child.process.pid):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    total += getattr(process.memory_info(), "shared", 0)
        return total

    def n_open_files(self) -> int:
        """Files, sockets and pipes that all processes and their descendants hold open."""
        total = 0
        for child in self._children:
            for process in _tree(child.process.pid):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    total += process.num_fds()
        return total

    def stop(self) -> None:
        """Stop everything that was started here."""
        _stop_trees([psutil.Process(child.process.pid) for child in self._children if child.process.poll() is None])
        for child in self._children:
            child.process.wait()
        self._children.clear()
        self._record.unlink(missing_ok=True)

    def _write_record(self) -> None:
        entries = []
        for child in self._children:
            with contextlib.suppress(psutil.NoSuchProcess):
                entries.append(
                    {
                        "name": child.name,
                        "pid": child.process.pid,
                        "create_time": psutil.Process(child.process.pid).create_time(),
                    }
                )
        self._record.write_text(json.dumps(entries))


def _same_process(pid: int, create_time: float) -> list[psutil.Process]:
    """The process with this pid, if it is still the one that was started then."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if abs(process.create_time() - create_time) < 1:
            return [process]
    return []


def _tree(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _stop_trees(parents: Sequence[psutil.Process]) -> int:
    """Ask parents to leave, then whoever is still there after STOP_SECONDS is killed. Returns the number of
    processes."""
    everyone = [process for parent in parents for process in _tree(parent.pid)]
    for parent in parents:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent.terminate()
    _, alive = psutil.wait_procs(everyone, timeout=STOP_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=STOP_SECONDS)
    return len(everyone)
