from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from training.dataset import DatasetError, Marts
from training.protocols import PROTOCOLS, Split, splits_of


def only_split(name: str, marts: Marts) -> Split:
    _, (split,) = splits_of(name, marts, 0)
    return split


@pytest.fixture(scope="module")
def orderly(world: Marts) -> Marts:
    """The same events at one tick of a counter each."""
    table = world.tables["fct_training_sequences"]
    times = pc.list_flatten(table["occurred_at"])
    ticks = pa.array(np.argsort(np.argsort(times.cast(pa.int64()).to_numpy(), kind="stable")) * 1_000_000)
    column = pa.ListArray.from_arrays(table["occurred_at"].combine_chunks().offsets, ticks.cast(times.type))
    for name in ("occurred_at", "received_at"):
        table = table.set_column(table.column_names.index(name), name, column)
    return replace(world, tables={**world.tables, "fct_training_sequences": table})


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_target_was_learned_from(world, name):
    _, splits = splits_of(name, world, 0)
    for snapshot in (each for split in splits for each in (split.validation, split.test)):
        assert snapshot.is_target.any()
        assert not (snapshot.is_target & snapshot.is_training).any()
        assert not snapshot.events.is_negative[snapshot.is_target].any()


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"global-repeats"}))
def test_a_target_is_always_new_to_its_user(world, name):
    test = splits_of(name, world, 0)[1][0].test
    targets = test.targets()
    for row, now, item in zip(targets.rows, targets.now, targets.item, strict=True):
        assert item not in test.seen(int(row), int(now))


def test_leave_one_out_hides_all_that_a_user_did_from_the_target_on(world):
    split = only_split("leave-one-out", world)
    for snapshot in (split.validation, split.test):
        targets, learned = snapshot.targets(), snapshot.training
        begins = dict(zip(targets.user.tolist(), targets.now.tolist(), strict=True))
        assert len(begins) == len(targets) == len(snapshot.user_ids)
        assert all(
            moment < begins[user] for user, moment in zip(learned.user.tolist(), learned.occurred_at, strict=True)
        )
        assert learned.occurred_at.max() > min(begins.values())  # other people's future is known


def test_leave_one_out_chooses_by_the_new_item_before_the_last(world):
    split = only_split("leave-one-out", world)
    chosen_by, judged_by = split.validation.targets(), split.test.targets()
    before = dict(zip(chosen_by.user.tolist(), chosen_by.rows.tolist(), strict=True))
    learned = np.flatnonzero(split.test.is_training)
    for user, row in zip(judged_by.user.tolist(), judged_by.rows.tolist(), strict=True):
        assert before[user] < row
        assert before[user] in learned


def test_users_with_too_few_items_are_skipped_and_counted(world):
    table = world.tables["fct_training_sequences"]
    rows = table.to_pylist()
    lists = [name for name, value in rows[0].items() if isinstance(value, list)]
    rows[0] |= {name: rows[0][name][:2] for name in lists}
    shorter = replace(
        world, tables={**world.tables, "fct_training_sequences": pa.Table.from_pylist(rows, table.schema)}
    )
    split = only_split("leave-one-out", shorter)
    assert len(split.test.targets()) == len(rows) - 1
    assert split.note.startswith("1 users")


def test_a_global_list_is_asked_for_once_at_the_cut(world):
    test = only_split("global", world).test
    targets, lists = test.targets(), test.targets().lists
    assert set(targets.now) == {test.cut}
    assert len(lists) == len(np.unique(targets.user)) < len(targets)
    batch, events = test.histories(lists), test.events
    assert batch.times.max() <= test.cut
    for row, user in enumerate(lists.user):
        known = (events.user == user) & (events.occurred_at <= test.cut) & ~events.is_negative
        assert batch.items[row][batch.is_item[row]].tolist() == events.item[known].tolist()
        later = {*events.item[(events.user == user) & (events.occurred_at > test.cut) & ~events.is_negative].tolist()}
        met = {*events.item[(events.user == user) & (events.occurred_at <= test.cut)].tolist()}
        assert {*targets.item[targets.user == user].tolist()} <= later - met


def test_lists_are_sampled_whole_and_targets_are_not(world):
    targets = only_split("global", world).test.targets()
    some, thin = targets.sample(5, 0), targets.thinned(5, 0)
    assert len(some.list_starts) == len(thin) == 5
    assert all((targets.user == user).sum() == (some.user == user).sum() for user in some.lists.user)
    assert len(targets.sample(10**6, 0)) == len(targets.thinned(10**6, 0)) == len(targets)


def test_repeats_may_be_shown_and_found(world):
    test = only_split("global-repeats", world).test
    targets, events = test.targets(), test.events
    assert len({*zip(targets.user.tolist(), targets.item.tolist(), strict=True)}) == len(targets)
    assert test.seen(int(targets.rows[0]), test.cut).size == 0
    later = (events.occurred_at > test.cut) & ~events.is_negative
    assert {*zip(targets.user.tolist(), targets.item.tolist(), strict=True)} == {
        *zip(events.user[later].tolist(), events.item[later].tolist(), strict=True)
    }


def test_cold_items_leave_no_trace_in_training(world):
    split, whole = only_split("cold-items", world), only_split("successive", world)
    cold = [
        {item for item, count in zip(test.item_ids, test.item_counts, strict=True) if count == 0}
        for test in (split.validation, split.test)
    ]
    known = {item for item, count in zip(whole.test.item_ids, whole.test.item_counts, strict=True) if count}
    assert len(cold[1] & known) == 6  # 5 % of 120
    assert cold[1] <= cold[0]
    assert split.test.popularity.as_of(10**18, split.test.n_items)[split.test.item_counts == 0].sum() == 0
    assert len(split.test.targets()) == len(whole.test.targets())


def test_each_rolling_test_begins_where_the_one_before_ended(world):
    _, splits = splits_of("rolling", world, 0)
    times = [split.test.targets().now for split in splits]
    assert len(splits) == 3
    assert all(first.max() <= second.min() for first, second in pairwise(times))
    assert splits[1].test.cut == splits[2].validation.cut


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"leave-one-out"}))
def test_an_order_without_dates_is_not_split_by_time(orderly, name):
    assert not orderly.has_clock
    with pytest.raises(DatasetError, match="leave-one-out"):
        splits_of(name, orderly, 0)


def test_without_dates_popularity_is_what_training_counts(orderly):
    test = only_split("leave-one-out", orderly).test
    assert test.popularity.as_of(0, test.n_items)[:, 1].tolist() == test.item_counts.tolist()
