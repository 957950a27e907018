"""What can happen to the parts that the API lives on: each is really broken while its block runs, and whole after."""

import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from freshet.feature_store import apply, materialize
from freshet.settings import Settings
from nearline.verification import verify_features


class NotHereError(RuntimeError):
    """This machine does not let us cause the fault; the message says why."""


@dataclass(frozen=True)
class Fault:
    """One way to fail."""

    name: str
    breaks: Callable[[Path, int], AbstractContextManager[None]]
    """Of a home, and of the process that serves it."""
    degraded: frozenset[str]
    """What the answers must name meanwhile."""
    refuses_events: bool = False


@contextmanager
def _away(*paths: Path) -> Iterator[None]:
    """Other names for files and folders."""
    there = [path for path in paths if path.exists()]
    for path in there:
        path.rename(path.with_name(f"{path.name}.away"))
    try:
        yield
    finally:
        for path in there:
            path.with_name(f"{path.name}.away").rename(path)


@contextmanager
def _damaged(home: Path) -> Iterator[None]:
    """Nonsense in the place of every page of the online store; then it is deleted, and filled as a batch would."""
    database = _store(home)
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with database.open("r+b") as file:
        file.write(b"\xff" * database.stat().st_size)
    try:
        yield
    finally:
        for part in ("", "-wal", "-shm"):
            database.with_name(database.name + part).unlink(missing_ok=True)
        apply(home)
        materialize(home, full=True)
        verify_features(Settings(home=home, verify_max_mismatch_share=1))  # what only the log knows comes back, too


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """A transaction of somebody else that does not end."""
    with closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def _read_only(database: Path) -> Iterator[None]:
    """Not even the process that has them open may write these files any more: ext4's immutable flag."""
    files = [path for path in (database, database.with_name(f"{database.name}-wal")) if path.exists()]
    with ExitStack() as undo:
        for file in files:
            done = subprocess.run(["chattr", "+i", str(file)], check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise NotHereError(f"read-only below a running process needs root and ext4: {done.stderr.strip()}")
            undo.callback(subprocess.run, ["chattr", "-i", str(file)], check=True)
        yield


@contextmanager
def _disk_full(pid: int) -> Iterator[None]:
    """No file takes another byte from this process, whichever it is."""
    if not hasattr(resource, "prlimit"):
        raise NotHereError("limiting another process needs Linux")
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def _log(home: Path) -> Path:
    return home / "log" / "events.db"


def _store(home: Path) -> Path:
    return home / "feast" / "online.db"


FAULTS = (
    Fault("online store damaged", lambda home, _: _damaged(home), frozenset({"online_store"})),
    Fault("online store read-only", lambda home, _: _read_only(_store(home)), frozenset({"freshness"})),
    Fault("online store locked", lambda home, _: _locked(_store(home)), frozenset({"freshness"})),
    Fault(
        "warehouse and exports missing",
        lambda home, _: _away(home / "warehouse.duckdb", home / "features"),
        frozenset(),
    ),
    Fault("event log read-only", lambda home, _: _read_only(_log(home)), frozenset({"event_log"}), True),
    Fault("event log locked", lambda home, _: _locked(_log(home)), frozenset({"event_log"}), True),
    Fault("disk full", lambda _, pid: _disk_full(pid), frozenset({"event_log"}), True),
    Fault("MLflow stopped", lambda home, _: _away(home / "mlflow"), frozenset({"registry"})),
)
