"""When a description of an item was known, for catalogues that do not say it.

A new item is as old as the first event of its source. One that the lake has already, word for word, is no news. One
that now reads otherwise has changed after everything the lake has heard of, so that nobody learns it before its time.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import duckdb
from pydantic import ValidationError

from freshet.contract import Item
from ingestion.lake_schema import RecordType, contract_schema, json_text

FETCHED_AT_ONCE = 10_000


@dataclass(frozen=True)
class _Known:
    words: bytes
    first_at: datetime
    last_at: datetime


class KnownItems:
    """The lake's catalogue as it stood before this ingestion."""

    def __init__(self, lake: Path) -> None:
        """Nothing is read before it is asked for."""
        self._lake = lake

    @cached_property
    def newest_event_at(self) -> datetime | None:
        """When the lake last heard of anything; None when it is empty."""
        if not list((self._lake / "events").glob("*/*.parquet")):
            return None
        with closing(_open_duckdb()) as database:
            events = database.read_parquet(str(self._lake / "events" / "*" / "*.parquet"))
            row = events.aggregate("max(greatest(occurred_at, received_at))").fetchone()
        return row[0] if row else None

    @cached_property
    def _items(self) -> dict[str, _Known]:
        found: dict[str, _Known] = {}
        if not list((self._lake / "items").glob("*/*.parquet")):
            return found
        with closing(_open_duckdb()) as database:
            for item in _versions(database, self._lake):
                known = found.get(item.item_id)
                first_at = item.updated_at if known is None else known.first_at
                found[item.item_id] = _Known(_words(item), first_at, item.updated_at)
        return found

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def since(self, record: Mapping[str, object], first_event_at: datetime) -> datetime:
        """From when on this description was known, in a source that begins with ``first_event_at``."""
        known = self._items.get(str(record.get("item_id")))
        if known is None or first_event_at < known.first_at:
            return first_event_at
        try:
            item = Item.model_validate({**record, "updated_at": known.last_at})
        except ValidationError:
            return first_event_at  # the contract will say what is wrong with it
        if _words(item) == known.words:
            return known.last_at
        return max(known.last_at + timedelta(microseconds=1), self.newest_event_at or known.last_at)


def _open_duckdb() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    return database


def _versions(database: duckdb.DuckDBPyConnection, lake: Path) -> Iterator[Item]:
    """Every version, the older ones first."""
    names = contract_schema(RecordType.ITEM.model).names
    items = database.read_parquet(str(lake / "items" / "*" / "*.parquet"))
    rows = items.order("item_id, updated_at, received_at, source_line").select(*names)
    while fetched := rows.fetchmany(FETCHED_AT_ONCE):
        for row in fetched:
            record = dict(zip(names, row, strict=True))
            yield Item.model_validate(record | {"attributes": json.loads(record["attributes"])})


def _words(item: Item) -> bytes:
    said = item.model_dump(mode="json", exclude={"updated_at"})
    return hashlib.sha256(json_text(said).encode()).digest()
