"""What a test is: how a protocol divides the events into training, validation and test.

A protocol makes one or several splits, each with a world to choose in and one to judge in. Only their marks differ;
models, tuning and figures are the same for all. ``successive`` is what production does and what we report first; the
others answer narrower questions, and ``leave-one-out`` is there to compare with papers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.as_of import micros
from training.dataset import DatasetError, Marts
from training.snapshot import FOREVER, Events, Popularity, Snapshot, first_meetings, to_predict

COLD_SHARE = 0.05
"""Of the items, held out of all training under ``cold-items``."""
ORIGINS = (0.7, 0.8, 0.9)
"""Quantiles of time at which the tests of ``rolling`` begin; each lasts to the next, and validation comes before it."""
_MIN_MEETINGS = 3
"""Leave-one-out needs one to learn from, one to choose by and one to test with."""


@dataclass(frozen=True)
class Split:
    """A world to choose in and a later one to judge in; what is chosen in the first is fitted anew in the second."""

    name: str
    validation: Snapshot
    test: Snapshot
    note: str = ""
    """What was left out, in words."""


@dataclass(frozen=True)
class Protocol:
    """A way to split, and what its figures mean."""

    name: str
    rule: str
    splits: Callable[[Marts, int], list[Split]]


def _successive(marts: Marts, seed: int) -> list[Split]:
    first, second = marts.cuts()
    return [Split("test", marts.snapshot(first, seed, second), marts.snapshot(second, seed))]


def _rolling(marts: Marts, seed: int) -> list[Split]:
    splits = []
    for number, origin in enumerate(ORIGINS):
        first, second = marts.cuts(origin - 0.1, origin)
        end = marts.cuts(origin, ORIGINS[number + 1])[1] if number + 1 < len(ORIGINS) else FOREVER
        validation, test = marts.snapshot(first, seed, second), marts.snapshot(second, seed, end)
        splits.append(Split(f"origin_{round(100 * origin)}", validation, test))
    return splits


def _global(marts: Marts, seed: int) -> list[Split]:
    return [_one_list(split) for split in _successive(marts, seed)]


def _global_repeats(marts: Marts, seed: int) -> list[Split]:
    first, second = marts.cuts()
    (split,) = _global(marts, seed)
    validation, test = (
        replace(
            snapshot,
            with_repeats=True,
            is_target=to_predict(snapshot.events, snapshot.n_items, after, until, with_repeats=True),
        )
        for snapshot, after, until in ((split.validation, first, second), (split.test, second, FOREVER))
    )
    return [replace(split, validation=validation, test=test)]


def _one_list(split: Split) -> Split:
    return replace(split, validation=replace(split.validation, one_list=True), test=replace(split.test, one_list=True))


def _cold_items(marts: Marts, seed: int) -> list[Split]:
    """The same items are cold in both worlds, so choices on validation know what they are for."""
    (split,) = _successive(marts, seed)
    ids = sorted(split.validation.item_ids)
    held_out = set(np.random.default_rng(seed).choice(ids, max(1, round(COLD_SHARE * len(ids))), replace=False))
    note = f"{len(held_out):,} of {len(ids):,} items held out of training"
    validation, test = (_without_items(snapshot, held_out) for snapshot in (split.validation, split.test))
    return [replace(split, validation=validation, test=test, note=note)]


def _without_items(snapshot: Snapshot, held_out: set[str]) -> Snapshot:
    """Nothing is learned of them and they have no popularity; their events stay targets and stay in histories."""
    is_cold = np.array([item_id in held_out for item_id in snapshot.item_ids])
    counts = snapshot.popularity
    kept = ~is_cold[counts.item]
    return replace(
        snapshot,
        is_training=snapshot.is_training & ~is_cold[snapshot.events.item],
        popularity=Popularity(counts.item[kept], counts.known_at[kept], counts.counts[kept]),
    )


def _leave_one_out(marts: Marts, seed: int) -> list[Split]:
    whole = marts.snapshot(FOREVER, seed)
    last, before = _last_two_meetings(whole.events, whole.n_items)
    validation, test = (_held_out_after(marts, seed, rows) for rows in (before, last))
    skipped = len(whole.user_ids) - len(last)
    note = f"{skipped:,} users with fewer than {_MIN_MEETINGS} items skipped" if skipped else ""
    return [Split("test", validation, test, note)]


def _last_two_meetings(events: Events, n_items: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(U',) rows of each user's last first meeting and of the one before it, for users with enough of them."""
    rows = np.flatnonzero(first_meetings(events, n_items) & ~events.is_negative)
    _, counts = np.unique(events.user[rows], return_counts=True)
    ends = np.cumsum(counts)[counts >= _MIN_MEETINGS]
    return rows[ends - 1], rows[ends - 2]


def _held_out_after(marts: Marts, seed: int, target_rows: NDArray[np.int64]) -> Snapshot:
    """Of the targets' users nothing is known from their target on; of everybody else, everything."""
    whole = marts.snapshot(FOREVER, seed)
    events = whole.events
    first_hidden = np.full(len(whole.user_ids), len(events))
    first_hidden[events.user[target_rows]] = target_rows
    is_hidden = np.arange(len(events)) >= first_hidden[events.user]
    hidden_from = np.full(len(whole.user_ids), FOREVER)
    hidden_from[events.user[target_rows]] = events.occurred_at[target_rows]
    is_target = np.zeros(len(events), dtype=bool)
    is_target[target_rows] = True
    is_training = ~is_hidden & ~events.is_negative
    snapshot = _without_tags(marts, dict(zip(whole.user_ids, hidden_from.tolist(), strict=True))).snapshot(
        FOREVER, seed
    )
    popularity = snapshot.popularity if marts.has_clock else _counted(events.where(is_training), whole.n_items)
    return replace(snapshot, is_training=is_training, is_target=is_target, popularity=popularity)


def _without_tags(marts: Marts, hidden_from: dict[str, int]) -> Marts:
    """What a user wrote from their target on is not read either."""
    tags = marts.tables["fct_item_tags"]
    ends = np.array([hidden_from.get(user_id, FOREVER) for user_id in tags["user_id"].to_pylist()], dtype=np.int64)
    return replace(marts, tables={**marts.tables, "fct_item_tags": tags.filter(micros(tags["occurred_at"]) < ends)})


def _counted(events: Events, n_items: int) -> Popularity:
    """Where times are only an order there are no days to count by: every window is the whole of training."""
    counts = np.bincount(events.item, minlength=n_items).astype(np.float32)
    always = np.full(n_items, np.iinfo(np.int64).min)
    return Popularity(np.arange(n_items, dtype=np.int32), always, np.repeat(counts[:, None], 4, axis=1))


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "successive",
            "events after the 90 % quantile of time, each predicted from everything before it; weights frozen at the "
            "cut, tuned on the tenth before it, histories and daily popularity go on",
            _successive,
        ),
        Protocol(
            "rolling",
            "as successive, from three cuts (70, 80, 90 %), each tested up to the next; figures over all their events",
            _rolling,
        ),
        Protocol(
            "global",
            "one list per user at the 90 % quantile of time; relevant is every item new to the user after it",
            _global,
        ),
        Protocol(
            "global-repeats",
            "one list per user at the 90 % quantile of time; relevant is every item after it, known ones may be shown",
            _global_repeats,
        ),
        Protocol(
            "cold-items",
            f"as successive, with {COLD_SHARE:.0%} of the items held out of all training; item_seen_0 is the part of "
            "the events on them and on items first met after the cut",
            _cold_items,
        ),
        Protocol(
            "leave-one-out",
            "each user's last new item, tuned on the one before it; training knows everybody else's future, so this "
            "is only for comparison with papers",
            _leave_one_out,
        ),
    )
}


def splits_of(name: str, marts: Marts, seed: int) -> tuple[Protocol, list[Split]]:
    """A protocol on a dataset. Raises DatasetError where the two do not fit."""
    protocol = PROTOCOLS[name]
    if name != "leave-one-out" and not marts.has_clock:
        raise DatasetError(
            f"{name} splits by time, and the times of this dataset are only an order: take `--protocol leave-one-out`"
        )
    splits = protocol.splits(marts, seed)
    for split in splits:
        for part, snapshot in (("validation", split.validation), ("test", split.test)):
            if not snapshot.is_target.any():
                raise DatasetError(f"{name} finds nothing to predict in {part} of this dataset: take another protocol")
    return protocol, splits
