"""The live event log: what the API accepted, in one order, durable before it is acknowledged.

The log is the truth. Nothing is ever removed or changed, so an ``event_id`` stays a duplicate for ever, and everything
downstream (lake, marts, online features) can be rebuilt from it. It also notes what was sent again, so that the books
of all that arrived add up.
"""

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

from freshet.contract import Event, EventType
from freshet.sqlite import open_database

SCHEMA_VERSION = 1
_USER_ID = "json_extract(event, '$.user_id')"
_IS_ERASURE = "json_extract(event, '$.event_type') = 'erasure'"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Row = tuple[str, int, str]


@dataclass(frozen=True)
class AppendResult:
    """What became of one event; ``sequence`` is that of the event as first stored."""

    status: Literal["accepted", "duplicate"]
    sequence: int


class EventLog(Protocol):
    """Events in the order in which they were accepted: SQLite on a laptop; Kafka or Redis Streams would fit as well."""

    def append(self, events: Sequence[Event]) -> list[AppendResult]:
        """Store the events in one transaction; durable when this returns. A known ``event_id`` is a duplicate."""
        ...

    def read(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """At most ``limit`` events whose sequence is greater than ``after``, ascending."""
        ...

    def find(self, event_ids: Sequence[str]) -> list[Event]:
        """The events of these ids that are there, in the order of arrival."""
        ...

    def tail(self, after: int, limit: int) -> tuple[list[tuple[int, Event]], int]:
        """Those of the next ``limit`` events that are no impressions, and the sequence of the last of all of them."""
        ...

    def last_sequence(self) -> int:
        """The sequence of the newest event, 0 when there is none."""
        ...

    def erasures(self, user_ids: Collection[str] | None = None) -> dict[str, datetime]:
        """When each of these users was erased last, or everybody who was; others are left out."""
        ...

    def repeats(self, after: int, until: datetime) -> tuple[int, int]:
        """How often a known event was sent again, and the number of the last time: those later than number ``after``
        and before the first that came at or after ``until``.
        """
        ...

    def first_repeat_at(self, after: int) -> datetime | None:
        """When a known event was sent again for the first time later than number ``after``; None if it was not."""
        ...

    def close(self) -> None:
        """Release what is held open."""
        ...


class SqliteEventLog:
    """The event log in one SQLite file, safe to share between threads, and between processes that each open it."""

    def __init__(self, path: Path) -> None:
        """Open the log at ``path``, creating it with its folder when it is missing."""
        # Two connections: a reader never waits for the disk flush of a writer. Each is used under its own lock.
        self._writer, self._writing = open_database(path), threading.Lock()
        self._reader, self._reading = open_database(path), threading.Lock()
        self._waiting: deque[_Append] = deque()
        with self._write() as connection:
            _create(connection, path)

    def append(self, events: Sequence[Event]) -> list[AppendResult]:
        """Store the events in one transaction; durable when this returns. A known ``event_id`` is a duplicate.

        Flushing the disk takes milliseconds, in which others arrive: whoever is next takes all of them along.
        """
        rows = [(event.event_id, _microseconds(event.received_at), event.model_dump_json()) for event in events]
        if not rows:
            return []
        mine = _Append(rows)
        self._waiting.append(mine)
        with self._writing:
            if not mine.is_done:
                self._write_waiting()
        if mine.error is not None:
            raise mine.error
        return mine.results

    def read(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """At most ``limit`` events whose sequence is greater than ``after``, ascending."""
        statement = "SELECT sequence, event FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"
        with self._reading:
            rows = self._reader.execute(statement, (after, limit)).fetchall()
        return [(sequence, Event.model_validate_json(event)) for sequence, event in rows]

    def find(self, event_ids: Sequence[str]) -> list[Event]:
        """The events of these ids that are there, in the order of arrival."""
        # One parameter, however many ids there are: SQLite takes only so many.
        statement = "SELECT event FROM events WHERE event_id IN (SELECT value FROM json_each(?)) ORDER BY sequence"
        with self._reading:
            rows = self._reader.execute(statement, (json.dumps(list(event_ids)),)).fetchall()
        return [Event.model_validate_json(event) for (event,) in rows]

    def tail(self, after: int, limit: int) -> tuple[list[tuple[int, Event]], int]:
        """Those of the next ``limit`` events that are no impressions, and the sequence of the last of all of them.

        Ten impressions are logged for every answer, and reading them as events would cost as much as the answer.
        """
        statement = (
            "SELECT sequence, CASE WHEN event ->> '$.event_type' <> ? THEN event END"
            " FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"
        )
        with self._reading:
            rows = self._reader.execute(statement, (EventType.IMPRESSION.value, after, limit)).fetchall()
        events = [(sequence, Event.model_validate_json(event)) for sequence, event in rows if event is not None]
        return events, rows[-1][0] if rows else after

    def last_sequence(self) -> int:
        """The sequence of the newest event, 0 when there is none."""
        with self._reading:
            row = self._reader.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()
        return int(row[0])

    def erasures(self, user_ids: Collection[str] | None = None) -> dict[str, datetime]:
        """When each of these users was erased last, or everybody who was; others are left out."""
        chosen = None if user_ids is None else json.dumps(list(user_ids))
        statement = (
            f"SELECT {_USER_ID}, max(received_at) FROM events WHERE {_IS_ERASURE}"  # noqa: S608 (expressions of our own)
            f" AND (?1 IS NULL OR {_USER_ID} IN (SELECT value FROM json_each(?1))) GROUP BY 1"
        )
        with self._reading:
            rows = self._reader.execute(statement, (chosen,)).fetchall()
        return {user_id: EPOCH + timedelta(microseconds=erased_at) for user_id, erased_at in rows}

    def repeats(self, after: int, until: datetime) -> tuple[int, int]:
        """How often a known event was sent again, and the number of the last time: those later than number ``after``
        and before the first that came at or after ``until``.
        """
        statement = (
            "SELECT count(*), coalesce(max(sequence), ?1) FROM repeats WHERE sequence > ?1 AND sequence <"
            " (SELECT coalesce(min(sequence), 9e18) FROM repeats WHERE sequence > ?1 AND received_at >= ?2)"
        )
        with self._reading:
            n_repeats, last = self._reader.execute(statement, (after, _microseconds(until))).fetchone()
        return int(n_repeats), int(last)

    def first_repeat_at(self, after: int) -> datetime | None:
        """When a known event was sent again for the first time later than number ``after``; None if it was not."""
        statement = "SELECT received_at FROM repeats WHERE sequence > ? ORDER BY sequence LIMIT 1"
        with self._reading:
            row = self._reader.execute(statement, (after,)).fetchone()
        return None if row is None else EPOCH + timedelta(microseconds=row[0])

    def close(self) -> None:
        """Release both connections; the log cannot be used afterwards."""
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()

    def _write_waiting(self) -> None:
        """One transaction for all that wait; what goes wrong goes wrong for each of them."""
        group = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self._transaction() as connection:
                results = [_insert_all(connection, append.rows) for append in group]
        except sqlite3.Error as error:
            for append in group:
                append.error, append.is_done = error, True
            return
        for append, stored in zip(group, results, strict=True):
            append.results, append.is_done = stored, True

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._writing, self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writer:  # commits, or rolls back on any exception
            self._writer.execute("BEGIN IMMEDIATE")
            yield self._writer


@dataclass
class _Append:
    """Rows of one caller, and what became of them."""

    rows: list[_Row]
    results: list[AppendResult] = field(default_factory=list)
    error: sqlite3.Error | None = None
    is_done: bool = False


def _create(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise ValueError(
            f"{path} has log schema {version}, this Freshet reads {SCHEMA_VERSION}: use the Freshet that wrote it"
        )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE,"
        " received_at INTEGER NOT NULL, event TEXT NOT NULL) STRICT"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS repeats (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL,"
        " received_at INTEGER NOT NULL) STRICT"
    )
    connection.execute(f"CREATE INDEX IF NOT EXISTS erasures ON events ({_USER_ID}, received_at) WHERE {_IS_ERASURE}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _insert_all(connection: sqlite3.Connection, rows: list[_Row]) -> list[AppendResult]:
    """In one statement where every event is new, which is several times faster than asking after each of them."""
    if len(rows) == 1:
        return [_insert(connection, rows[0])]
    connection.execute("SAVEPOINT all_new")
    try:
        connection.executemany("INSERT INTO events (event_id, received_at, event) VALUES (?, ?, ?)", rows)
    except sqlite3.IntegrityError:
        connection.execute("ROLLBACK TO all_new")
        results = [_insert(connection, row) for row in rows]
    else:
        # Nobody else writes during the transaction, so the sequences of one statement follow one another.
        last = int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
        results = [AppendResult("accepted", last - len(rows) + place) for place in range(1, len(rows) + 1)]
    connection.execute("RELEASE all_new")
    return results


def _insert(connection: sqlite3.Connection, row: _Row) -> AppendResult:
    inserted = connection.execute(
        "INSERT INTO events (event_id, received_at, event) VALUES (?, ?, ?)"
        " ON CONFLICT (event_id) DO NOTHING RETURNING sequence",
        row,
    ).fetchall()
    if inserted:
        return AppendResult("accepted", inserted[0][0])
    connection.execute("INSERT INTO repeats (event_id, received_at) VALUES (?, ?)", row[:2])
    known = connection.execute("SELECT sequence FROM events WHERE event_id = ?", row[:1]).fetchone()
    return AppendResult("duplicate", known[0])


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
