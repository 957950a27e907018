"""What a user did, as arrays: the one form in which evaluation and serving hand histories to the model.

A single request is a batch of one, so there is no second scoring path that could drift from the evaluated one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from freshet.contract import SESSION_GAP

SESSION_GAP_US = int(SESSION_GAP.total_seconds() * 1_000_000)
PADDING = -1
"""Stands where a history is shorter than its batch."""


@dataclass(frozen=True)
class History:
    """Positive interactions of one user, newest last; items the model does not know are already dropped."""

    item_indices: NDArray[np.int32]  # (T,)
    occurred_at_us: NDArray[np.int64]  # (T,)


@dataclass(frozen=True)
class HistoryBatch:
    """Histories right-aligned in one array: the last column is every user's newest item, padding stands left."""

    items: NDArray[np.int32]  # (B, T), PADDING where there is none
    times: NDArray[np.int64]  # (B, T) microseconds
    now: NDArray[np.int64]  # (B,) microseconds: the moment of the question

    @classmethod
    def of(cls, histories: Sequence[History], now_us: Sequence[int] | NDArray[np.int64]) -> "HistoryBatch":
        """Lay histories of different lengths side by side."""
        width = max((len(history.item_indices) for history in histories), default=0)
        items = np.full((len(histories), width), PADDING, dtype=np.int32)
        times = np.zeros((len(histories), width), dtype=np.int64)
        for row, history in enumerate(histories):
            if length := len(history.item_indices):
                items[row, width - length :] = history.item_indices
                times[row, width - length :] = history.occurred_at_us
        return cls(items, times, np.asarray(now_us, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.now)

    def rows(self, chosen: slice | NDArray[np.int64]) -> "HistoryBatch":
        """Some of the histories."""
        return HistoryBatch(self.items[chosen], self.times[chosen], self.now[chosen])

    def newest(self, limit: int) -> "HistoryBatch":
        """The newest ``limit`` items of each."""
        if self.items.shape[1] <= limit:
            return self
        start = self.items.shape[1] - limit
        return HistoryBatch(self.items[:, start:], self.times[:, start:], self.now)

    @cached_property
    def is_item(self) -> NDArray[np.bool_]:
        """(B, T) where a history has an item."""
        return np.asarray(self.items != PADDING, dtype=np.bool_)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(B,) items per history."""
        return np.asarray(self.is_item.sum(axis=1), dtype=np.int64)

    @cached_property
    def gaps_us(self) -> NDArray[np.int64]:
        """(B, T) time from each item to the next one, and from the newest to now."""
        following = np.concatenate([self.times[:, 1:], self.now[:, None]], axis=1)
        return np.maximum(following - self.times, 0)

    @cached_property
    def in_session(self) -> NDArray[np.bool_]:
        """(B, T) items of the session that is still open now: no gap after them is longer than SESSION_GAP."""
        largest_since = np.maximum.accumulate(self.gaps_us[:, ::-1], axis=1)[:, ::-1]
        open_session: NDArray[np.bool_] = (largest_since <= SESSION_GAP_US) & self.is_item
        return open_session

    @cached_property
    def readings(self) -> dict[object, NDArray[np.float32]]:
        """(B, T) what each item counts, as far as it was worked out already, by the settings it was worked out with."""
        return {}

    @cached_property
    def is_inside_session(self) -> NDArray[np.bool_]:
        """(B,) whether now lies inside a session rather than at the start of one."""
        if self.items.shape[1] == 0:
            return np.zeros(len(self), dtype=bool)
        return np.asarray(self.in_session[:, -1], dtype=np.bool_)


@dataclass(frozen=True)
class Recency:
    """``P = a·recent + (1−a)·long-term``: what each item of a history counts, by its age in items and its session."""

    a: float = 0.5
    """The share of the current session; .5 makes no difference between now and then."""
    session_decay: float = 0.8
    """Factor per item of age inside the current session."""
    long_term_decay: float = 0.8
    """Factor per item of age before it."""
    start_decay: float | None = None
    """The same at the start of a session, where nothing is recent; None makes no difference."""

    def weights(self, batch: HistoryBatch) -> NDArray[np.float32]:
        """(B, T) weights, 0 for padding and for what has faded below a thousandth."""
        width = batch.items.shape[1]
        recent = np.float32(self.a) * _faded(self.session_decay, width)
        long_term = (1 - np.float32(self.a)) * self._long_term(batch, width)
        weights = np.where(batch.in_session, recent, long_term)
        weights[~batch.is_item | (weights < 1e-3)] = 0
        return np.asarray(weights, dtype=np.float32)

    def _long_term(self, batch: HistoryBatch, width: int) -> NDArray[np.float32]:
        """(B, T) or (T,) where every moment has the same."""
        inside = _faded(self.long_term_decay, width)
        if self.start_decay is None:
            return inside
        return np.where(batch.is_inside_session[:, None], inside, _faded(self.start_decay, width))


def _faded(decay: float, width: int) -> NDArray[np.float32]:
    """(T,) decay ** age of the items of a history, newest last."""
    powers = _powers(decay, 1 << width.bit_length())
    return powers[len(powers) - width :]


@lru_cache(maxsize=64)
def _powers(decay: float, width: int) -> NDArray[np.float32]:
    powers: NDArray[np.float32] = np.float32(decay) ** np.arange(width - 1, -1, -1, dtype=np.float32)
    return powers
