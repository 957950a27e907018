"""Items put and deleted over HTTP, in one order, durable before they are acknowledged.

Every change is kept: of an item, serving shows the newest, and ``ingest_live_events`` moves all of them into the lake.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

from freshet.contract import Item
from freshet.sqlite import open_database


@dataclass(frozen=True)
class ItemChange:
    """An item as it is from now on."""

    sequence: int
    item: Item  # a deleted one says as little as the contract allows, and that it is not available
    is_deleted: bool


class SqliteLiveItems:
    """Changes of items in one SQLite file, safe to share between threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open the changes at ``path``, creating them when they are missing."""
        self._lock, self._connection = threading.Lock(), open_database(path)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, item_id TEXT NOT NULL,"
            " is_deleted INTEGER NOT NULL, item TEXT NOT NULL) STRICT"
        )

    def put(self, item: Item) -> int:
        """Store what is known of an item from now on; durable when this returns its sequence."""
        return self._append(item, is_deleted=False)

    def delete(self, item: Item) -> int:
        """Store that an item is gone, and what may still be said of it; durable when this returns its sequence."""
        return self._append(item.model_copy(update={"is_available": False}), is_deleted=True)

    def read(self, after: int, limit: int) -> list[ItemChange]:
        """At most ``limit`` changes whose sequence is greater than ``after``, ascending."""
        statement = "SELECT sequence, item, is_deleted FROM changes WHERE sequence > ? ORDER BY sequence LIMIT ?"
        with self._lock:
            rows = self._connection.execute(statement, (after, limit)).fetchall()
        return [ItemChange(number, Item.model_validate_json(item), bool(gone)) for number, item, gone in rows]

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._connection.close()

    def _append(self, item: Item, *, is_deleted: bool) -> int:
        statement = "INSERT INTO changes (item_id, is_deleted, item) VALUES (?, ?, ?) RETURNING sequence"
        with self._lock:  # one statement is one transaction, flushed when it is committed
            [(sequence,)] = self._connection.execute(
                statement, (item.item_id, is_deleted, item.model_dump_json())
            ).fetchall()
        return int(sequence)
