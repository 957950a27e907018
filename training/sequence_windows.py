"""What the sequence head learns from: histories cut into windows, with what followed each position."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.history import PADDING, HistoryBatch
from training.sequence_network import SequenceConfig
from training.snapshot import Events


@dataclass(frozen=True)
class Windows:
    """(N, T) histories to learn from, with the item that followed each position."""

    batch: HistoryBatch
    following: NDArray[np.int64]  # (N, T), PADDING where nothing followed

    def where(self, chosen: NDArray[np.int64]) -> "Windows":
        """The windows with these numbers."""
        return Windows(self.batch.rows(chosen), self.following[chosen])


def windows(events: Events, length: int, offset: int) -> Windows:
    """Cut every user's history into runs of ``length``, shifted by ``offset``, so that epochs see different cuts."""
    rows = np.arange(len(events))
    has_next = np.r_[events.user[1:] == events.user[:-1], False]
    position = rows - events.first_of_user + offset
    starts = np.flatnonzero((rows == events.first_of_user) | (position % length == 0))
    index = starts[:, None] + np.arange(length)[None, :]  # (N, T)
    ends = np.r_[starts[1:], len(events)]
    inside = (index < ends[:, None]) & has_next[np.minimum(index, len(events) - 1)]
    index = np.where(inside, index, 0)
    order = np.argsort(inside, axis=1, kind="stable")  # padding stands left, as everywhere
    index, inside = np.take_along_axis(index, order, axis=1), np.take_along_axis(inside, order, axis=1)
    some = inside.any(axis=1)
    index, inside = index[some], inside[some]
    items = np.where(inside, events.item[index], PADDING).astype(np.int32)
    times = np.where(inside, events.occurred_at[index], 0)
    following = np.where(inside, events.item[index + inside], PADDING).astype(np.int64)
    return Windows(HistoryBatch(items, times, events.occurred_at[index[:, -1] + 1]), following)


def fresh_and_replayed(cut: Windows, fresh_after: int, replay: float, generator: np.random.Generator) -> Windows:
    """The windows that end after a moment, and of the older ones, at random, ``replay`` times as many."""
    is_fresh = cut.batch.now > fresh_after
    old = np.flatnonzero(~is_fresh)
    n_replayed = min(len(old), math.ceil(replay * is_fresh.sum()))
    return cut.where(np.r_[np.flatnonzero(is_fresh), generator.choice(old, n_replayed, replace=False)])


def windows_per_step(cut: Windows, config: SequenceConfig) -> int:
    """As many as configured, or more until a step is half full: it costs the whole catalogue's parameters anyway."""
    if len(cut.batch) == 0:  # nobody met two things
        return config.batch_size
    filled = float((cut.following != PADDING).mean())
    return max(config.batch_size, math.ceil(config.batch_size / (2 * filled)))
