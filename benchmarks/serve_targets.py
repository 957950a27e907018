"""Servers that the benchmark starts, each on a free port, and how it waits for them."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from commands.processes import Processes
from commands.services import QUIET, answers, wait_until
from freshet.settings import PREFIX, Settings
from nearline.offsets import WorkerLock

_READY_SECONDS = 300.0


@dataclass(frozen=True)
class Server:
    """One that answers."""

    port: int
    processes: Processes
    ready_s: float
    """From the start of the process until it could answer in full."""

    @property
    def memory_mb(self) -> float:
        """Resident memory of the server and its children, shared pages counted once."""
        return self.processes.memory_bytes() / 2**20

    @property
    def mapped_mb(self) -> float:
        """What of it lies in files as well, such as neighbours and libraries."""
        return self.processes.mapped_bytes() / 2**20


@contextmanager
def freshet(home: Path) -> Iterator[Server]:
    """``freshet serve`` over a home."""
    port = free_port()
    environment = {PREFIX + "HOME": str(home), PREFIX + "API_PORT": str(port)}
    command = [sys.executable, "-m", "commands.main", "serve"]
    with running(home, "api", command, port, "/readyz", environment) as server:
        yield server


def start_worker(home: Path, server: Server) -> None:
    """``freshet nearline`` beside a server of the same home, from when it has taken over the events."""
    environment = {**os.environ, **QUIET, PREFIX + "HOME": str(home)}
    server.processes.start("nearline", [sys.executable, "-m", "commands.main", "nearline"], environment)
    lock = WorkerLock(Settings(home=home).dedicated_lock_path)
    wait_until("nearline", lock.is_taken, _READY_SECONDS, server.processes)


@contextmanager
def empty_route(home: Path) -> Iterator[Server]:
    """An empty route of the same framework; its log goes to the home."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.empty_route", str(port)]
    with running(home / "empty-route", "empty-route", command, port, "/") as server:
        yield server


@contextmanager
def running(
    home: Path, name: str, command: list[str], port: int, ready_path: str, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    """A server from its start until ``ready_path`` answers 200, and until the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    processes = Processes(home)
    processes.stop_leftovers()
    began = time.perf_counter()
    try:
        processes.start(name, command, {**os.environ, **QUIET, **(environment or {})})
        wait_until(name, lambda: answers(f"http://127.0.0.1:{port}{ready_path}"), _READY_SECONDS, processes)
        yield Server(port, processes, time.perf_counter() - began)
    finally:
        processes.stop()


def free_port() -> int:
    """A port of loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
