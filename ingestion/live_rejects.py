"""Events that the API could not use, with the reason, durable beside the event log: nothing that arrived is lost.

``ingest_live_events`` copies them into the lake's rejects, where those of all sources are.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from freshet.sqlite import open_database

MAX_RAW_CHARACTERS: Final = 32 * 1024


@dataclass(frozen=True)
class Reject:
    """One refused event as it was sent, cut to MAX_RAW_CHARACTERS."""

    received_at: datetime
    request_index: int  # its place in the request's list
    reason: str
    raw: str


@dataclass(frozen=True)
class StoredReject:
    """A reject at its place in the order of arrival."""

    sequence: int
    received_at: datetime
    reason: str
    raw: str


class SqliteRejects:
    """Refused events in one SQLite file, safe to share between threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open the rejects at ``path``, creating them when they are missing."""
        self._lock, self._connection = threading.Lock(), open_database(path)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS rejects (sequence INTEGER PRIMARY KEY AUTOINCREMENT, received_at TEXT NOT NULL,"
            " source TEXT NOT NULL, request_index INTEGER NOT NULL, record_type TEXT NOT NULL, reason TEXT NOT NULL,"
            " raw TEXT NOT NULL) STRICT"
        )

    def append(self, rejects: Sequence[Reject]) -> None:
        """Store the rejects in one transaction; durable when this returns."""
        rows = [
            (reject.received_at.isoformat(), reject.request_index, reject.reason, reject.raw[:MAX_RAW_CHARACTERS])
            for reject in rejects
        ]
        if not rows:
            return
        with self._lock, self._connection:  # the connection commits, or rolls back on any exception
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO rejects (received_at, source, request_index, record_type, reason, raw)"
                " VALUES (?, 'live', ?, 'event', ?, ?)",
                rows,
            )

    def read(self, after: int, limit: int) -> list[StoredReject]:
        """At most ``limit`` rejects whose sequence is greater than ``after``, ascending."""
        statement = (
            "SELECT sequence, received_at, reason, raw FROM rejects WHERE sequence > ? ORDER BY sequence LIMIT ?"
        )
        with self._lock:
            rows = self._connection.execute(statement, (after, limit)).fetchall()
        return [StoredReject(number, datetime.fromisoformat(at), reason, raw) for number, at, reason, raw in rows]

    def count(self) -> int:
        """How many events have been refused so far."""
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM rejects").fetchone()[0])

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._connection.close()
