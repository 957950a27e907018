import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from training.dataset import DatasetError, Marts, read_marts
from training.snapshot import Events, Popularity, PopularityWalk, Snapshot, to_predict


def snapshot_of(rows: list[tuple[int, int, int, int, bool]], n_items: int, cut: int) -> Snapshot:
    """Rows: user, item, occurred_at, received_at, is_negative."""
    user, item, occurred, received, negative = (np.array(column) for column in zip(*rows, strict=True))
    events = Events(
        user.astype(np.int32), item.astype(np.int32), occurred, received, negative, np.ones(len(rows), np.int32)
    )
    nothing = Popularity(np.empty(0, np.int32), np.empty(0, np.int64), np.empty((0, 4), np.float32))
    ids = [f"i{number}" for number in range(n_items)]
    users = [f"u{number}" for number in range(int(user.max()) + 1)]
    is_training = (events.known_at <= cut) & ~events.is_negative
    return Snapshot(cut, ids, ids, users, events, nothing, is_training, to_predict(events, n_items, cut))


def test_an_event_counts_as_training_only_if_it_was_known_at_the_cut():
    snapshot = snapshot_of(
        [(0, 0, 5, 5, False), (0, 1, 8, 12, False), (0, 2, 9, 9, True), (0, 3, 11, 11, False)], 4, 10
    )
    assert snapshot.training.item.tolist() == [0]  # 1 was received too late, 2 is negative, 3 came later


def test_targets_are_first_positive_meetings():
    rows = [
        (0, 0, 1, 1, False),
        (0, 0, 20, 20, False),
        (0, 1, 21, 21, True),
        (0, 2, 22, 22, False),
        (1, 0, 19, 19, False),
    ]
    targets = snapshot_of(rows, 3, 10).targets()
    assert list(zip(targets.user.tolist(), targets.item.tolist(), strict=True)) == [(1, 0), (0, 2)]


def test_a_history_holds_what_was_known_just_before():
    rows = [(0, 0, 1, 1, False), (0, 1, 2, 2, True), (0, 2, 3, 50, False), (0, 3, 4, 4, False), (0, 4, 20, 20, False)]
    snapshot = snapshot_of(rows, 5, 10)
    targets = snapshot.targets()
    batch = snapshot.histories(targets, limit=4)
    assert batch.items.tolist() == [[-1, -1, 0, 3]]  # 1 was turned down, 2 was not yet received
    assert batch.times.tolist() == [[0, 0, 1, 4]]
    assert sorted(snapshot.seen(int(targets.rows[0]), 20).tolist()) == [0, 1, 3]


def test_a_history_never_reaches_into_another_user():
    snapshot = snapshot_of([(0, 0, 1, 1, False), (1, 1, 2, 2, False), (1, 2, 20, 20, False)], 3, 10)
    assert snapshot.histories(snapshot.targets(), limit=3).items.tolist() == [[-1, -1, 1]]


def test_popularity_is_the_newest_row_known_by_then():
    counts = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [0, 2, 2, 2]], dtype=np.float32)
    popularity = Popularity(np.array([0, 1, 0], dtype=np.int32), np.array([10, 10, 20]), counts)
    tables, number = popularity.steps(np.array([9, 10, 19, 20]), 2)
    assert number.tolist() == [0, 1, 1, 2]
    assert tables[:, :, 0].tolist() == [[0, 0], [1, 2], [0, 2]]
    assert popularity.as_of(20, 2)[:, 3].tolist() == [2, 2]


def test_moments_that_do_not_ascend_are_refused():
    popularity = Popularity(np.empty(0, np.int32), np.empty(0, np.int64), np.empty((0, 4), np.float32))
    with pytest.raises(ValueError, match="ascend"):
        popularity.steps(np.array([2, 1]), 1)


def test_the_split_is_by_time(world):
    validation, test = world.cuts()
    assert (world.occurred_at > test).mean() == pytest.approx(0.1, abs=0.01)
    assert (world.occurred_at > validation).mean() == pytest.approx(0.2, abs=0.01)


def test_items_stand_in_a_random_order_that_the_seed_decides(world):
    cut = world.cuts()[0]
    first, again, other = (world.snapshot(cut, seed).item_ids for seed in (0, 0, 1))
    assert first == again
    assert sorted(first) == sorted(other)
    assert first != other
    assert first != sorted(first)


def test_the_same_rows_in_other_files_have_the_same_hash(world, world_home: Path, tmp_path: Path):
    for path in (world_home / "features").iterdir():
        table = pq.read_table(path)
        pq.write_table(table.take(pa.array(np.random.default_rng(0).permutation(len(table)))), tmp_path / path.name)
    assert read_marts(tmp_path).content_hash == world.content_hash


def test_nothing_after_the_cut_changes_what_is_known_at_it(world, world_home: Path, tmp_path: Path):
    """Later events on other items, a later tag, later popularity, and an item that appears later."""
    cut = world.cuts()[0]
    shutil.copytree(world_home / "features", tmp_path / "features")
    tables = {name: pq.read_table(tmp_path / "features" / f"{name}.parquet") for name in world.tables}
    rows = tables["fct_training_sequences"].to_pylist()
    for row in rows:
        micros = [round(moment.timestamp() * 1e6) for moment in row["occurred_at"]]
        row["item_ids"] = [
            "i000" if moment > cut else item for item, moment in zip(row["item_ids"], micros, strict=True)
        ]
    changed = {"fct_training_sequences": pa.Table.from_pylist(rows, tables["fct_training_sequences"].schema)}
    new_item = tables["dim_item_versions"].slice(0, 1).to_pylist()[0] | {"item_id": "i999"}
    later = pc.scalar(pa.scalar(cut, pa.timestamp("us", tz="UTC")))
    new_item["available_from"] = pa.scalar(cut + 1, pa.timestamp("us", tz="UTC")).as_py()
    changed["dim_item_versions"] = pa.concat_tables(
        [tables["dim_item_versions"], pa.Table.from_pylist([new_item], tables["dim_item_versions"].schema)]
    )
    changed["fct_item_tags"] = tables["fct_item_tags"].filter(pc.less_equal(pc.field("occurred_at"), later))
    changed["fct_item_popularity_daily"] = tables["fct_item_popularity_daily"].filter(
        pc.less_equal(pc.field("event_timestamp"), later)
    )
    for name, table in changed.items():
        pq.write_table(table, tmp_path / "features" / f"{name}.parquet")
    before, after = world.snapshot(cut, 0), read_marts(tmp_path / "features").snapshot(cut, 0)
    assert after.item_ids == before.item_ids
    assert after.texts == before.texts
    for name in Events.__dataclass_fields__:
        assert np.array_equal(getattr(after.training, name), getattr(before.training, name)), name
    assert np.array_equal(after.latest_popularity, before.latest_popularity)


def test_training_as_of_a_moment_reads_nothing_later(world, world_home: Path):
    cut = world.cuts()[0]
    marts = read_marts(world_home / "features", as_of=cut)
    assert marts.occurred_at.max() <= cut
    assert marts.last_moment <= cut
    assert np.array_equal(marts.snapshot(cut, 0).training.item, world.snapshot(cut, 0).training.item)


def test_a_walk_through_popularity_gives_what_each_batch_would_alone_forwards_and_back():
    dice = np.random.default_rng(0)
    known_at = np.sort(dice.integers(0, 50, 200))
    counts = dice.integers(0, 9, (200, 4)).astype(np.float32)
    popularity = Popularity(dice.integers(0, 7, 200).astype(np.int32), known_at, counts)
    walk = PopularityWalk.start(popularity, 7)
    for batch in ([3, 3, 9], [9, 20, 20], [49, 60], [0, 5], [5]):
        moments = np.array(batch)
        tables, number = walk.steps(moments)
        alone, alone_number = popularity.steps(moments, 7)
        assert np.array_equal(tables[number], alone[alone_number])


def test_some_items_alone_keep_their_events_and_popularity(world):
    snapshot = world.snapshot(world.cuts()[0], 0)
    small = snapshot.restricted(np.array([3, 7]))
    assert small.item_ids == [snapshot.item_ids[3], snapshot.item_ids[7]]
    assert small.item_counts.tolist() == snapshot.item_counts[[3, 7]].tolist()
    assert np.array_equal(small.latest_popularity, snapshot.latest_popularity[[3, 7]])


def test_a_missing_mart_is_named(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"dim_item_versions\.parquet is missing: run `freshet ingest`"):
        read_marts(tmp_path)


def test_too_few_interactions_are_refused(world):
    few = world.tables["fct_training_sequences"].slice(0, 1)
    with pytest.raises(DatasetError, match="too few to train on"):
        replace(world, tables={**world.tables, "fct_training_sequences": few}).cuts()


def test_an_item_is_as_it_was_described_at_the_moment(world):
    """i000 was called otherwise at first; one that was described later is not there yet."""
    moment, table = world.cuts()[0], world.tables["dim_item_versions"]
    change = pa.scalar(moment, pa.timestamp("us", tz="UTC")).as_py()
    [first, second] = [row for row in table.to_pylist() if row["item_id"] in ("i000", "i001")]
    rows = [
        {**first, "valid_to": change},
        {**first, "title": "Renamed", "valid_from": change},
        {**second, "valid_from": change},
    ]
    edited = replace(world, tables={**world.tables, "dim_item_versions": pa.Table.from_pylist(rows, table.schema)})
    assert edited.items_as_of(moment - 1)["title"].to_pylist() == [first["title"]]
    assert edited.items_as_of(moment)["title"].to_pylist() == ["Renamed", second["title"]]
    assert edited.items_as_of(np.iinfo(np.int64).max)["title"].to_pylist() == ["Renamed", second["title"]]


def test_sessions_are_those_of_the_mart_and_look_as_they_did_at_the_cut(built_home):
    marts = read_marts(built_home / "features")

    def sessions_of_ann(cut: int) -> list[int]:
        snapshot = marts.snapshot(cut, 0)
        return snapshot.events.session[snapshot.events.user == snapshot.user_ids.index("ann")].tolist()

    assert sessions_of_ann(np.iinfo(np.int64).max) == [1, 1, 1, 2, 2, 3]
    assert sessions_of_ann(1_735_776_000_000_000) == [1, 0, 1, 2, 2, 0]  # the 2nd at midnight: one is late, one to come


@pytest.mark.parametrize(
    ("days", "cuts"),
    [
        ([*range(20)], (15, 17)),
        ([1] * 5 + [2] * 5 + [3] * 10, (1, 2)),  # half of all on the last day
        ([1] * 18 + [2, 3], (1, 2)),  # nearly all on the first
        ([1] * 5 + [2] * 14 + [3], (1, 2)),
    ],
)
def test_a_coarse_clock_is_split_between_its_ticks(days, cuts):
    moments = pa.array([[day * 1_000_000 for day in days]], pa.list_(pa.timestamp("us", tz="UTC")))
    marts = Marts({"fct_training_sequences": pa.table({"occurred_at": moments})}, "")
    assert marts.cuts() == tuple(cut * 1_000_000 for cut in cuts)


def test_a_clock_of_two_ticks_cannot_be_split():
    moments = pa.array([[0] * 10 + [1] * 10], pa.list_(pa.timestamp("us", tz="UTC")))
    with pytest.raises(DatasetError, match="too few different times"):
        Marts({"fct_training_sequences": pa.table({"occurred_at": moments})}, "").cuts()
