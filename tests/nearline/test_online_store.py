"""The online store alone, driven as Feast drives it."""

import math
import multiprocessing
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from feast import Entity, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import DoubleList, Int64List, StringList, Value
from feast.types import Array, Float64, Int64, String
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearline.online_store import (
    ENTITIES_PER_QUERY,
    MERGE,
    ROWS_PER_TRANSACTION,
    WRITE_TAG,
    EventTimeSqliteOnlineStore,
)
from nearline.session_features import to_us
from nearline.user_states import STATE_COLUMNS

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
VIEW = FeatureView(
    name="state",
    entities=[USER],
    schema=[Field(name="item_ids", dtype=Array(String)), Field(name="n", dtype=Int64)],
    source=FileSource(name="states", path="states.parquet", timestamp_field="event_timestamp"),
)


def make_config(path):
    return RepoConfig(
        project="test",
        provider="local",
        registry=str(path.with_name("registry.pb")),
        online_store={"type": "nearline.online_store.EventTimeSqliteOnlineStore", "path": str(path)},
        entity_key_serialization_version=3,
    )


def open_tables(config):
    store = EventTimeSqliteOnlineStore()
    store.update(config, [], [VIEW], [], [USER], partial=False)
    return store


@pytest.fixture
def config(tmp_path):
    return make_config(tmp_path / "feast" / "online.db")


@pytest.fixture
def online(config):
    return open_tables(config)


def key(user_id):
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])


def row(user_id, n, event_time, item_ids=("i1",)):
    values = {"item_ids": Value(string_list_val=StringList(val=item_ids)), "n": Value(int64_val=n)}
    return key(user_id), values, event_time, None


def write(store, config, *rows):
    store.online_write_batch(config, VIEW, list(rows), progress=None)


def read(store, config, *user_ids):
    answers = store.online_read(config, VIEW, [key(user_id) for user_id in user_ids])
    return [(moment, values and values["n"].int64_val) for moment, values in answers]


def test_what_was_written_is_read_to_the_microsecond(online, config):
    moment = NOON + timedelta(microseconds=1)
    write(online, config, row("zoë", 7, moment, ["blå-å", "川"]), row("ann", 8, NOON, []))
    [(read_moment, values), (_, empty)] = online.online_read(config, VIEW, [key("zoë"), key("ann")])
    assert read_moment == moment
    assert (list(values["item_ids"].string_list_val.val), values["n"].int64_val) == (["blå-å", "川"], 7)
    assert empty["item_ids"].WhichOneof("val") == "string_list_val"  # an empty list is a list, not nothing


def test_an_unknown_entity_is_nothing_at_its_place(online, config):
    write(online, config, row("ann", 1, NOON))
    assert read(online, config, "bob", "ann", "bob") == [(None, None), (NOON, 1), (None, None)]


def test_an_older_row_never_replaces_a_newer_one(online, config):
    write(online, config, row("ann", 2, NOON))
    write(online, config, row("ann", 1, NOON - timedelta(microseconds=1)))
    assert read(online, config, "ann") == [(NOON, 2)]


def test_a_row_of_the_same_moment_replaces(online, config):
    write(online, config, row("ann", 1, NOON))
    write(online, config, row("ann", 2, NOON))
    assert read(online, config, "ann") == [(NOON, 2)]


def test_a_moment_without_a_zone_is_utc(online, config):
    write(online, config, row("ann", 1, NOON.replace(tzinfo=None)))
    assert read(online, config, "ann") == [(NOON, 1)]


def test_a_damaged_file_is_read_again_once_it_is_mended(online, config):
    write(online, config, row("ann", 1, NOON))
    path = Path(config.online_store.path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    path.write_bytes(b"\xff" * 100 + content[100:])
    reader = EventTimeSqliteOnlineStore()
    with pytest.raises(sqlite3.DatabaseError):
        read(reader, config, "ann")
    path.write_bytes(content)
    assert read(reader, config, "ann") == [(NOON, 1)]


def test_another_file_in_its_place_is_opened(online, config, tmp_path):
    write(online, config, row("ann", 1, NOON))
    other = make_config(tmp_path / "other" / "online.db")
    write(open_tables(other), other, row("ann", 2, NOON))
    with closing(sqlite3.connect(other.online_store.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for end in ("-wal", "-shm"):
        Path(config.online_store.path + end).unlink(missing_ok=True)
    Path(other.online_store.path).replace(config.online_store.path)
    assert read(online, config, "ann") == [(NOON, 2)]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.integers(-5, 5)), min_size=1, max_size=20), st.data())
def test_the_newest_event_time_wins_in_whatever_order_rows_arrive(online, config, arrivals, data):
    online.update(config, [VIEW], [], [], [], partial=False)
    online.update(config, [], [VIEW], [], [USER], partial=False)
    rows = [row(user_id, age, NOON + timedelta(seconds=age)) for user_id, age in arrivals]
    split = data.draw(st.integers(0, len(rows)))
    write(online, config, *rows[:split])
    write(online, config, *rows[split:])
    for user_id in {user_id for user_id, _ in arrivals}:
        newest = max(age for name, age in arrivals if name == user_id)
        assert read(online, config, user_id) == [(NOON + timedelta(seconds=newest), newest)]


def test_many_rows_are_written_in_short_transactions_and_read_at_once(online, config):
    n_users = max(ENTITIES_PER_QUERY, 2 * ROWS_PER_TRANSACTION) + 10
    written = []
    rows = [row(f"u{n}", n, NOON) for n in range(n_users)]
    online.online_write_batch(config, VIEW, rows, progress=written.append)
    assert sum(written) == n_users
    assert max(written) == ROWS_PER_TRANSACTION
    assert read(online, config, *(f"u{n}" for n in range(n_users))) == [(NOON, n) for n in range(n_users)]


def test_a_view_that_is_dropped_is_gone(online, config):
    write(online, config, row("ann", 1, NOON))
    online.update(config, [VIEW], [], [], [], partial=False)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        read(online, config, "ann")


def test_threads_read_and_write_at_once(online, config):
    write(online, config, row("ann", 0, NOON))
    failures, seen = [], []

    def push():
        try:
            for n in range(1, 50):
                write(online, config, row("ann", n, NOON + timedelta(seconds=n)))
        except sqlite3.Error as error:
            failures.append(error)

    def follow():
        try:
            numbers = [read(online, config, "ann")[0][1] for _ in range(200)]
            seen.append(numbers == sorted(numbers))
        except sqlite3.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=target) for target in (push, follow, follow)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert seen == [True, True]  # nobody ever saw an older state after a newer one
    assert read(online, config, "ann") == [(NOON + timedelta(seconds=49), 49)]


PACKED = FeatureView(
    name="packed",
    entities=[USER],
    schema=[
        Field(name=name, dtype=Array({"recent_values": Float64, "recent_occurred_at": Int64}.get(name, String)))
        for name in STATE_COLUMNS
    ],
    source=FileSource(name="packed", path="packed.parquet", timestamp_field="event_timestamp"),
    tags={WRITE_TAG: MERGE},
)


def packed(known_at, *occurred):
    """A packed row of views, one at each of these seconds after noon; each event is named by its second."""
    names, moments = [f"e{second}" for second in occurred], [to_us(NOON + timedelta(seconds=s)) for s in occurred]
    return (
        key("ann"),
        {
            "recent_event_ids": Value(string_list_val=StringList(val=names)),
            "recent_item_ids": Value(string_list_val=StringList(val=names)),
            "recent_event_types": Value(string_list_val=StringList(val=["view"] * len(names))),
            "recent_values": Value(double_list_val=DoubleList(val=[math.nan] * len(names))),
            "recent_occurred_at": Value(int64_list_val=Int64List(val=moments)),
            "seen_item_ids": Value(string_list_val=StringList(val=sorted(names))),
        },
        NOON + timedelta(seconds=known_at),
        None,
    )


@pytest.fixture
def merging(config):
    store = EventTimeSqliteOnlineStore()
    store.update(config, [], [PACKED], [], [USER], partial=False)

    def write_all(*rows):
        for row in rows:
            store.online_write_batch(config, PACKED, [row], progress=None)
        [(moment, values)] = store.online_read(config, PACKED, [key("ann")])
        seconds = (moment - NOON) // timedelta(seconds=1)
        events, seen = (list(values[name].string_list_val.val) for name in ("recent_event_ids", "seen_item_ids"))
        assert sorted(events) == seen
        return seconds, events

    write_all.store = store
    return write_all


def test_a_batch_brings_history_to_a_user_who_is_active_just_now(merging):
    assert merging(packed(9, 9), packed(3, 1, 2, 3)) == (9, ["e1", "e2", "e3", "e9"])


def test_a_newer_row_that_knows_less_takes_nothing_away(merging):
    assert merging(packed(3, 1, 2, 3), packed(9, 9)) == (9, ["e1", "e2", "e3", "e9"])


def test_a_batch_as_old_as_the_push_does_not_bring_back_what_was_before(merging):
    # e60 comes from a clock that is a minute ahead: what is pushed after it has its moment, too.
    assert merging(packed(60, 60), packed(60, 2, 60), packed(60, 60)) == (60, ["e2", "e60"])


def test_rows_of_one_user_in_one_batch_are_merged_as_well(merging, config):
    merging.store.online_write_batch(config, PACKED, [packed(1, 1), packed(3, 3), packed(2, 2)], progress=None)
    assert merging(packed(3, 3)) == (3, ["e1", "e2", "e3"])


def test_a_repair_replaces_what_is_known(merging, config):
    merging(packed(9, 1, 9))
    merging.store.replace(config, PACKED, [packed(5, 5)])
    assert merging(packed(5, 5)) == (5, ["e5"])


def test_two_writers_that_know_nothing_of_each_other_lose_nothing(merging, config):
    """As the worker and a batch, each with rows of its own, at once."""
    writers = [
        threading.Thread(
            target=lambda first=first: [
                merging.store.online_write_batch(config, PACKED, [packed(second, second)], progress=None)
                for second in range(first, 100, 4)
            ]
        )
        for first in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert merging(packed(0, 0)) == (99, [f"e{second}" for second in range(100)])


def materialise(path, is_ready, n_rounds):
    """A batch in a process of its own: 2,000 users again and again, all older than what is pushed."""
    config = make_config(path)
    store = EventTimeSqliteOnlineStore()
    is_ready.set()
    for _ in range(n_rounds):
        store.online_write_batch(config, VIEW, [row(f"u{n}", -1, NOON) for n in range(2_000)], progress=None)


def test_pushes_and_reads_go_on_while_another_process_materialises(online, config, tmp_path):
    processes = multiprocessing.get_context("spawn")
    is_ready = processes.Event()
    batch = processes.Process(target=materialise, args=(tmp_path / "feast" / "online.db", is_ready, 10))
    batch.start()
    assert is_ready.wait(timeout=60)  # it has Feast to import
    waits, n = [], 0
    while batch.is_alive():
        n += 1
        began = time.perf_counter()
        write(online, config, row(f"u{n % 2_000}", n, NOON + timedelta(seconds=n)))
        waits.append(time.perf_counter() - began)
        assert read(online, config, f"u{n % 2_000}") == [(NOON + timedelta(seconds=n), n)]
    batch.join()
    assert batch.exitcode == 0
    assert len(waits) > 20
    assert max(waits) < 5  # far below the timeout after which SQLite would give up
    newest = {f"u{m % 2_000}": m for m in range(1, n + 1)}
    assert read(online, config, *newest) == [(NOON + timedelta(seconds=m), m) for m in newest.values()]
