"""Feast's online store in one SQLite file, safe for one worker that pushes while a batch materialises and an API reads.

Feast's own SQLite store keeps what arrives last, even when it is older, and fails with ``database is locked`` when two
processes write. This one

- keeps one packed row per entity and view, so that a read is one lookup and never mixes two states;
- compares event times: an older row never replaces a newer one, in whatever order they arrive (an equal one may);
- forgets an entity that was erased: rows from before never come back, whoever writes them;
- merges the rows of a view that is tagged so, where neither of two rows need know all that the other knows;
- writes ahead (WAL) in short transactions, so that readers never wait and another writer waits milliseconds only.
"""

import logging
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from feast import Entity, FeatureStore, FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value
from feast.repo_config import FeastConfigBaseModel
from feast.type_map import python_values_to_proto_values
from feast.types import FeastType

from freshet.sqlite import BUSY_SECONDS, open_database
from nearline.feast_rows import EVENT_TIMESTAMP, entity_key, utc
from nearline.packed_rows import PackedRow, merge_rows
from nearline.session_features import from_us, to_us

logger = logging.getLogger(__name__)

ROWS_PER_TRANSACTION = 256
MERGES_PER_TRANSACTION = 32
"""Merging happens inside the transaction, and a push may have to wait for all of them."""

WRITE_TAG = "online_write"
MERGE = "merge"
"""A view with the tag ``online_write: merge`` holds packed user states, and its rows are merged, never replaced."""
ENTITIES_PER_QUERY = 500
READ_SECONDS = 0.1
"""How long a reader waits. None has to, but for whoever takes the file for itself; and answers wait with it."""

_CREATE_ERASED = (
    "CREATE TABLE IF NOT EXISTS erased (entity_key BLOB PRIMARY KEY, erased_at INTEGER NOT NULL) WITHOUT ROWID"
)
_ERASE = (
    "INSERT INTO erased VALUES (?, ?) ON CONFLICT DO UPDATE SET erased_at = excluded.erased_at"
    " WHERE excluded.erased_at > erased_at RETURNING 1"
)

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
Answer = tuple[datetime | None, dict[str, Value] | None]


class EventTimeSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """The ``online_store:`` block of ``feature_store.yaml``."""

    type: Literal["nearline.online_store.EventTimeSqliteOnlineStore"] = (
        "nearline.online_store.EventTimeSqliteOnlineStore"
    )
    path: str


class EventTimeSqliteOnlineStore(OnlineStore):
    """One SQLite file, one table per feature view, one connection per thread."""

    def __init__(self) -> None:
        """Made by Feast; nothing is opened before the first use."""
        self._local = threading.local()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Take rows in, whether or not they are newer; each transaction holds the write lock for milliseconds."""
        is_merged = table.tags.get(WRITE_TAG) == MERGE
        write, size = (self._merge, MERGES_PER_TRANSACTION) if is_merged else (self._keep_newer, ROWS_PER_TRANSACTION)
        rows = iter(data)
        while part := list(islice(rows, size)):
            write(config, table, part)
            if progress:
                progress(len(part))

    def replace(self, config: RepoConfig, table: FeatureView, data: Sequence[Row]) -> None:
        """Let these rows be what is known, whatever was known before: for repairs."""
        packed = [_pack(_pack_key(config, key), utc(moment), values) for key, values, moment, _ in data]
        with self._transaction(config) as connection:
            connection.executemany(_upsert(config, table), packed)

    def forget(self, config: RepoConfig, tables: Sequence[FeatureView], erased: Mapping[bytes, datetime]) -> None:
        """Remove the rows of entities that were erased, and let older ones never come back; newer rows stay.

        A row counts as older up to the end of the day (UTC) on which its entity was erased, where rows are of days.
        """
        with self._transaction(config) as connection:
            connection.execute(_CREATE_ERASED)
            for key, moment in erased.items():
                # At first whatever is there goes: a sender's clock may be fast, and a row seem younger than it is.
                is_news = connection.execute(_ERASE, (key, to_us(moment))).fetchall()
                for view in tables:
                    connection.execute(
                        f"DELETE FROM {_table_name(config, view)} WHERE entity_key = ? AND (? OR event_time <= ?)",  # noqa: S608
                        (key, bool(is_news), to_us(_end_of_erasure(view, moment))),
                    )

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Answer]:
        """Each entity's newest row as (event time, values), or (None, None) where there is none."""
        keys = [_pack_key(config, entity_key) for entity_key in entity_keys]
        found: dict[bytes, PackedRow] = {}
        with self._connection(config, READ_SECONDS) as connection:
            for start in range(0, len(keys), ENTITIES_PER_QUERY):
                found.update(_read(connection, config, table, keys[start : start + ENTITIES_PER_QUERY]))
        return [found.get(key, (None, None)) for key in keys]

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Create the tables of the views that are kept, drop the others."""
        with self._transaction(config) as connection:
            for view in tables_to_keep:
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {_table_name(config, view)} (entity_key BLOB PRIMARY KEY, "
                    "event_time INTEGER NOT NULL, feature_names TEXT NOT NULL, feature_values BLOB NOT NULL)"
                )
            for view in tables_to_delete:
                connection.execute(f"DROP TABLE IF EXISTS {_table_name(config, view)}")

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Forget everything."""
        with self._transaction(config) as connection:
            for view in tables:
                connection.execute(f"DROP TABLE IF EXISTS {_table_name(config, view)}")

    def _is_versioned_read_supported(self) -> bool:
        """Feast would find out by importing every store it knows, on the first request."""
        return False

    def _keep_newer(self, config: RepoConfig, table: FeatureView, rows: list[Row]) -> None:
        # Packed before the transaction begins: the time between two is other writers' turn.
        packed = [_pack(_pack_key(config, key), utc(moment), values) for key, values, moment, _ in rows]
        with self._transaction(config) as connection:
            erased = _erased(connection, table, [key for key, *_ in packed])
            packed = [row for row in packed if row[1] > erased.get(row[0], row[1] - 1)]
            connection.executemany(f"{_upsert(config, table)} WHERE excluded.event_time >= event_time", packed)

    def _merge(self, config: RepoConfig, table: FeatureView, rows: list[Row]) -> None:
        """Read, merge and write within one transaction: whoever writes next merges with the result."""
        keyed = [(_pack_key(config, key), (utc(moment), values)) for key, values, moment, _ in rows]
        with self._transaction(config) as connection:
            keys = [key for key, _ in keyed]
            erased = _erased(connection, table, keys)
            known = dict(_read(connection, config, table, keys))
            changed: dict[bytes, PackedRow] = {}
            for key, row in keyed:
                if key in erased and to_us(row[0]) <= erased[key]:
                    continue
                merged = merge_rows(known[key], row) if key in known else row
                if merged is not known.get(key):
                    known[key] = changed[key] = merged
            packed = [_pack(key, moment, values) for key, (moment, values) in changed.items()]
            connection.executemany(_upsert(config, table), packed)

    @contextmanager
    def _transaction(self, config: RepoConfig) -> Iterator[sqlite3.Connection]:
        """Take the write lock at once: a transaction that begins by reading cannot wait for it later."""
        with self._connection(config, BUSY_SECONDS) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection

    @contextmanager
    def _connection(self, config: RepoConfig, seconds: float) -> Iterator[sqlite3.Connection]:
        """This thread's connection, which waits so long for others; opened anew when the file is another one, and after
        every error.

        SQLite keeps pages in memory until the file changes: a damaged one would stay damaged after it was mended.
        """
        path = Path(config.online_store.path)
        known: _Open | None = getattr(self._local, "open", None)
        if known is None or known.inode != _inode(path):
            self._close()
            known = self._local.open = _open(path)
        if known.waits != seconds:
            known.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1_000)}")
            known.waits = seconds
        try:
            yield known.connection
        except sqlite3.Error:
            self._close()
            raise

    def _close(self) -> None:
        known: _Open | None = self._local.__dict__.pop("open", None)
        if known is not None:
            known.closer()


@dataclass
class _Open:
    """One thread's connection. It ends with the thread, not with the garbage collector's next round."""

    connection: sqlite3.Connection
    inode: int
    closer: Callable[[], Any]
    waits: float | None = None


def _open(path: Path) -> _Open:
    # What a power cut may lose, the next batch brings back.
    connection = open_database(path, survives_power_cut=False)
    return _Open(connection, _inode(path), weakref.finalize(threading.current_thread(), connection.close))


def _inode(path: Path) -> int:
    """Which file it is; 0 when there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _read(
    connection: sqlite3.Connection, config: RepoConfig, table: FeatureView, keys: list[bytes]
) -> Iterator[tuple[bytes, PackedRow]]:
    rows = connection.execute(
        f"SELECT entity_key, event_time, feature_names, feature_values FROM {_table_name(config, table)} "  # noqa: S608
        f"WHERE entity_key IN ({', '.join('?' * len(keys))})",
        keys,
    )
    for key, event_time, feature_names, feature_values in rows.fetchall():
        values = RepeatedValue.FromString(feature_values).val
        features = dict(zip(feature_names.split("\n"), values, strict=True))
        yield key, (from_us(event_time), features)


def replace_rows(store: FeatureStore, view_name: str, join_key: str, rows: dict[str, dict[str, Any]]) -> None:
    """Let these rows be what is known of their entities, each a dictionary with every feature and its event time."""
    view = store.get_feature_view(view_name)
    data: list[Row] = [
        (
            entity_key(join_key, entity_id),
            {field.name: _value(row[field.name], field.dtype) for field in view.features},
            row[EVENT_TIMESTAMP],
            None,
        )
        for entity_id, row in rows.items()
    ]
    EventTimeSqliteOnlineStore().replace(store.config, view, data)


def forget_entities(store: FeatureStore, join_key: str, erased: Mapping[str, datetime]) -> None:
    """Let nothing be known of these entities from before they were erased; a row of a later time is of a new one."""
    views = [view for view in store.list_feature_views() if view.online and join_key in view.join_keys]
    keys = {_pack_key(store.config, entity_key(join_key, entity_id)): moment for entity_id, moment in erased.items()}
    EventTimeSqliteOnlineStore().forget(store.config, views, keys)


def _end_of_erasure(view: FeatureView, moment: datetime) -> datetime:
    """Until when a row of this view may still tell of somebody who was erased at that moment."""
    if view.tags.get(WRITE_TAG) == MERGE:
        return moment
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _erased(connection: sqlite3.Connection, view: FeatureView, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Until when rows of these entities are of somebody who was erased, in microseconds; few were."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'erased'").fetchone():
        return {}
    found: dict[bytes, int] = {}
    for start in range(0, len(keys), ENTITIES_PER_QUERY):
        part = keys[start : start + ENTITIES_PER_QUERY]
        found.update(
            connection.execute(
                f"SELECT entity_key, erased_at FROM erased WHERE entity_key IN ({', '.join('?' * len(part))})",  # noqa: S608
                part,
            ).fetchall()
        )
    return {key: to_us(_end_of_erasure(view, from_us(at))) for key, at in found.items()}


def _value(value: Any, feast_type: FeastType) -> Value:
    [packed] = python_values_to_proto_values([value], feast_type.to_value_type())
    return packed  # type: ignore[no-any-return]


def _table_name(config: RepoConfig, view: FeatureView) -> str:
    name: str = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return '"' + name.replace('"', '""') + '"'


def _pack_key(config: RepoConfig, entity_key: EntityKey) -> bytes:
    return bytes(serialize_entity_key(entity_key, config.entity_key_serialization_version))


def _upsert(config: RepoConfig, view: FeatureView) -> str:
    return (
        f"INSERT INTO {_table_name(config, view)} (entity_key, event_time, feature_names, feature_values) "  # noqa: S608
        "VALUES (?, ?, ?, ?) ON CONFLICT (entity_key) DO UPDATE SET event_time = excluded.event_time, "
        "feature_names = excluded.feature_names, feature_values = excluded.feature_values"
    )


def _pack(key: bytes, event_time: datetime, values: dict[str, Value]) -> tuple[bytes, int, str, bytes]:
    return (
        key,
        to_us(event_time),
        "\n".join(values),
        RepeatedValue(val=values.values()).SerializeToString(),
    )
