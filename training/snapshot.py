"""The world as known at a cut: items, their texts, and events, each of them training data, a target, or only history.

A protocol (``training/protocols.py``) marks the events; everything that learns or is judged reads the marks, so there
is no second rule by which test data could slip into training, a count or a whitening.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from freshet.contract import MAX_RECENT_EVENTS
from training.history import PADDING, HistoryBatch

POPULARITY_COLUMNS = ("n_interactions_1d", "n_interactions_7d", "n_interactions_30d", "n_interactions_total")
FOREVER = int(np.iinfo(np.int64).max)
"""The cut that everything lies before."""
DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True)
class Events:
    """Interactions sorted by user and, within a user, by (occurred_at, event_id): the one order."""

    user: NDArray[np.int32]  # (N,)
    item: NDArray[np.int32]  # (N,)
    occurred_at: NDArray[np.int64]  # (N,) microseconds
    received_at: NDArray[np.int64]
    is_negative: NDArray[np.bool_]
    session: NDArray[np.int32]  # number within a user, as the sessions looked at the cut; 0 for what came later

    def __len__(self) -> int:
        return len(self.user)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Events":
        """The chosen events, order kept."""
        return Events(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @cached_property
    def first_of_user(self) -> NDArray[np.int64]:
        """(N,) the row at which each event's user begins."""
        is_first = np.r_[True, self.user[1:] != self.user[:-1]] if len(self) else np.empty(0, dtype=bool)
        return np.maximum.accumulate(np.where(is_first, np.arange(len(self)), 0))

    @cached_property
    def known_at(self) -> NDArray[np.int64]:
        """(N,) when an event had both happened and been received."""
        return np.maximum(self.occurred_at, self.received_at)


@dataclass(frozen=True)
class Popularity:
    """Counts per item as a step function of time: a row for every change, with the moment it was known."""

    item: NDArray[np.int32]
    known_at: NDArray[np.int64]  # ascending
    counts: NDArray[np.float32]  # (rows, 4): 1 d, 7 d, 30 d, all time

    def steps(self, moments: NDArray[np.int64], n_items: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Distinct tables (S, V, 4) as of ascending moments, and for each moment the number of its table."""
        return PopularityWalk.start(self, n_items).steps(moments)

    def as_of(self, moment: int, n_items: int) -> NDArray[np.float32]:
        """The table (V, 4) as of one moment."""
        return np.asarray(self.steps(np.array([moment], dtype=np.int64), n_items)[0][0], dtype=np.float32)


@dataclass
class PopularityWalk:
    """The same counts for one batch of moments after the other, without beginning at the first day each time."""

    popularity: Popularity
    current: NDArray[np.float32]  # (V, 4)
    n_done: int = 0
    """Rows that ``current`` holds."""

    @classmethod
    def start(cls, popularity: Popularity, n_items: int) -> "PopularityWalk":
        """Before the first row."""
        return cls(popularity, np.zeros((n_items, len(POPULARITY_COLUMNS)), dtype=np.float32))

    def steps(self, moments: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As of ``Popularity.steps``; a batch may go back behind the one before it. Raises ValueError within one."""
        if np.any(np.diff(moments) < 0):
            raise ValueError("moments must ascend")
        rows = self.popularity
        distinct, number = np.unique(np.searchsorted(rows.known_at, moments, side="right"), return_inverse=True)
        if len(distinct) and distinct[0] < self.n_done:
            self.current[:], self.n_done = 0, 0
        tables = np.empty((len(distinct), *self.current.shape), dtype=np.float32)
        for step, end in enumerate(distinct):
            some = slice(self.n_done, int(end))
            self.current[rows.item[some]] = rows.counts[some]  # rows ascend, so the last one per item stays
            tables[step], self.n_done = self.current, int(end)
        return tables, number


@dataclass(frozen=True)
class Targets:
    """Items to find, in order of time; those of one row are looked for in one list.

    With a list for every event each target has a row of its own: that of its event.
    """

    rows: NDArray[np.int64]  # (M,) of the snapshot's events; what lies before it is the user's past
    user: NDArray[np.int32]  # (M,)
    item: NDArray[np.int32]  # (M,)
    now: NDArray[np.int64]  # (M,) when the list is asked for

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def list_starts(self) -> NDArray[np.int64]:
        """(L,) the first target of each list."""
        is_first = np.r_[True, self.rows[1:] != self.rows[:-1]] if len(self) else np.empty(0, dtype=bool)
        return np.flatnonzero(is_first)

    @cached_property
    def list_of(self) -> NDArray[np.int64]:
        """(M,) the number of each target's list."""
        return np.repeat(np.arange(len(self.list_starts)), np.diff(np.r_[self.list_starts, len(self)]))

    @property
    def lists(self) -> "Targets":
        """One row per list (L,): its first target stands for it."""
        return self if len(self.list_starts) == len(self) else self.where(self.list_starts)

    def where(self, chosen: "slice | NDArray[np.bool_] | NDArray[np.int64]") -> "Targets":
        """Some of the targets, order kept."""
        return Targets(self.rows[chosen], self.user[chosen], self.item[chosen], self.now[chosen])

    def sample(self, size: int, seed: int) -> "Targets":
        """At most ``size`` lists with all their targets, at random by seed, still in order of time."""
        n_lists = len(self.list_starts)
        if n_lists <= size:
            return self
        chosen = np.random.default_rng(seed).choice(n_lists, size, replace=False)
        return self.where(np.isin(self.list_of, chosen))

    def thinned(self, size: int, seed: int) -> "Targets":
        """At most ``size`` targets, of whichever lists, at random by seed, still in order of time."""
        if len(self) <= size:
            return self
        return self.where(np.sort(np.random.default_rng(seed).choice(len(self), size, replace=False)))


@dataclass(frozen=True)
class Snapshot:
    """What was known at ``cut``; later events are there only to be predicted and to update histories."""

    cut: int
    item_ids: list[str]
    texts: list[str]
    user_ids: list[str]
    events: Events
    popularity: Popularity
    is_training: NDArray[np.bool_]  # (N,) what models, counts and choices may learn from
    is_target: NDArray[np.bool_]  # (N,) what is to be predicted
    one_list: bool = False
    """Whether each user asks once, at the cut, for all their targets, instead of once for each."""
    with_repeats: bool = False
    """Whether what a user has met may be shown again."""

    @property
    def n_items(self) -> int:
        """V."""
        return len(self.item_ids)

    @cached_property
    def training(self) -> Events:
        """The events to learn from, positive ones all."""
        return self.events.where(self.is_training)

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """(V,) training interactions per item."""
        return np.bincount(self.training.item, minlength=self.n_items)

    @property
    def latest_popularity(self) -> NDArray[np.float32]:
        """(V, 4) as of the cut, or as of the end of the last day of training data if the cut lies after it."""
        day = 86_400 * 1_000_000
        end = (int(self.training.known_at.max(initial=0)) // day + 1) * day
        return self.popularity.as_of(min(self.cut, end), self.n_items)

    def targets(self) -> Targets:
        """What is to be predicted: an item per list and event, or a user's items of the period in one list."""
        events = self.events
        rows = np.flatnonzero(self.is_target)
        if not self.one_list:
            rows = rows[np.argsort(events.occurred_at[rows], kind="stable")]
            return Targets(rows, events.user[rows], events.item[rows], events.occurred_at[rows])
        pairs = events.user[rows].astype(np.int64) * self.n_items + events.item[rows]
        rows = rows[np.sort(np.unique(pairs, return_index=True)[1])]
        is_past = events.occurred_at <= self.cut
        past = np.bincount(events.user[is_past], minlength=len(self.user_ids))
        asked = events.first_of_user[rows] + past[events.user[rows]]
        return Targets(asked, events.user[rows], events.item[rows], np.full(len(rows), self.cut))

    def histories(self, targets: Targets, limit: int = MAX_RECENT_EVENTS) -> HistoryBatch:
        """What was known of each target's user just before: the newest ``limit`` interactions, the positive of them."""
        rows, events = self.history_rows(targets, limit), self.events
        items = np.where(rows >= 0, events.item[rows], PADDING).astype(np.int32)
        return HistoryBatch(items, np.where(rows >= 0, events.occurred_at[rows], 0), targets.now)

    def history_rows(self, targets: Targets, limit: int = MAX_RECENT_EVENTS) -> NDArray[np.int64]:
        """(M, T) the same as rows of the events, −1 where there is none."""
        events = self.events
        index = targets.rows[:, None] + np.arange(-limit, 0)[None, :]
        is_own = index >= events.first_of_user[targets.rows][:, None]
        index = np.maximum(index, 0)
        keep = is_own & ~events.is_negative[index] & (events.received_at[index] <= targets.now[:, None])
        order = np.argsort(keep, axis=1, kind="stable")  # what is kept moves right, its order unchanged
        keep, index = np.take_along_axis(keep, order, axis=1), np.take_along_axis(index, order, axis=1)
        return np.where(keep, index, -1)

    def restricted(self, items: NDArray[np.int64]) -> "Snapshot":
        """The same world with some of its items only, for choices that need not see all of them."""
        place = np.full(self.n_items, PADDING, dtype=np.int32)
        place[items] = np.arange(len(items), dtype=np.int32)
        events = replace(self.events, item=place[self.events.item])
        known = events.item != PADDING
        popularity = self.popularity
        kept = place[popularity.item] != PADDING
        return replace(
            self,
            item_ids=[self.item_ids[item] for item in items],
            texts=[self.texts[item] for item in items],
            events=events.where(known),
            popularity=Popularity(place[popularity.item][kept], popularity.known_at[kept], popularity.counts[kept]),
            is_training=self.is_training[known],
            is_target=self.is_target[known],
        )

    def seen(self, row: int, now: int) -> NDArray[np.int32]:
        """Items that may not be shown: what the user had met, in any way, before the event in ``row``."""
        if self.with_repeats:
            return np.empty(0, dtype=np.int32)
        before = slice(int(self.events.first_of_user[row]), row)
        return self.events.item[before][self.events.received_at[before] <= now]


def first_meetings(events: Events, n_items: int) -> NDArray[np.bool_]:
    """(N,) whether a user meets an item for the first time, in any way."""
    meetings = events.user.astype(np.int64) * n_items + events.item
    is_first = np.zeros(len(events), dtype=bool)
    is_first[np.unique(meetings, return_index=True)[1]] = True
    return is_first


def to_predict(
    events: Events, n_items: int, after: int, until: int = FOREVER, *, with_repeats: bool = False
) -> NDArray[np.bool_]:
    """(N,) the positive interactions of a period, first meetings alone unless repeats count."""
    in_period = (events.occurred_at > after) & (events.occurred_at <= until) & ~events.is_negative
    return in_period if with_repeats else in_period & first_meetings(events, n_items)
