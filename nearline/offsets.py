"""How far the nearline worker has come, and which process is the worker: both beside the event log."""

import fcntl
import os
import threading
from pathlib import Path

from freshet.sqlite import open_database


class SqliteOffsets:
    """One number per consumer. Losing it costs a replay, never an event, so it is not flushed at every commit."""

    def __init__(self, path: Path) -> None:
        """Open the offsets at ``path``, creating them when they are missing."""
        self._lock, self._connection = threading.Lock(), open_database(path, survives_power_cut=False)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS offsets (consumer TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT"
        )

    def load(self, consumer: str) -> int:
        """The last sequence whose effects are stored; 0 for a new consumer."""
        with self._lock:
            row = self._connection.execute("SELECT sequence FROM offsets WHERE consumer = ?", (consumer,)).fetchone()
        return int(row[0]) if row else 0

    def commit(self, consumer: str, sequence: int) -> None:
        """Remember that everything up to ``sequence`` has taken effect."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO offsets VALUES (?, ?) ON CONFLICT (consumer) DO UPDATE SET sequence = excluded.sequence",
                (consumer, sequence),
            )

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._connection.close()


class WorkerLock:
    """One worker per home: two would overwrite each other's pushes. The lock dies with its process."""

    def __init__(self, path: Path) -> None:
        """Name the lock file; nothing is held yet."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take the lock without waiting; true when this process is now the worker."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def is_taken(self) -> bool:
        """Another process holds the lock."""
        try:
            file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    @property
    def is_held(self) -> bool:
        """This process is the worker."""
        return self._file is not None

    def release(self) -> None:
        """Let another process become the worker."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
