"""The list for everybody: what most people chose lately. Its lines are made as they are read: few ever are."""

import heapq
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nearline.session_features import to_us
from serving.catalogue import Catalogue
from serving.online_features import NO_POPULARITY, Popularity

_NOBODY: Final = (0, 0, 0, 0)


@dataclass(frozen=True)
class PopularItem:
    """One line of the list for everybody."""

    item_id: str
    score: float
    reason: str


@dataclass(frozen=True)
class PopularItems:
    """Items by popularity, as far as they may be shown at a moment."""

    item_ids: Sequence[str] = ()
    """Most popular first, whether or not they may be shown."""
    popularity: Popularity = NO_POPULARITY
    shown_from_us: NDArray[np.int64] | None = None
    """(N,) from when on each of ``item_ids`` may be shown, but for those that changed; None: always."""
    shown: NDArray[np.intp] | None = None
    """Places among ``item_ids`` of what may be shown now; None: all."""
    changed: Collection[str] = ()
    """Items that were put or deleted since ``item_ids`` was made: there they do not count."""
    changed_and_shown: Sequence[str] = ()
    """Those of them that may be shown, most popular first."""

    @classmethod
    def of(cls, catalogue: Catalogue, popularity: Popularity) -> Self:
        """Sort all items of a catalogue, and those that were counted: seconds where there are a million."""
        item_ids = sorted({*catalogue, *popularity.counts})
        scores = np.array([_score(popularity, item_id) for item_id in item_ids], dtype=np.float64)
        order = np.argsort(-scores, kind="stable")  # ties by id
        shown_from = np.array([catalogue.get(item_id).shown_from_us for item_id in item_ids], dtype=np.int64)
        return cls([item_ids[place] for place in order.tolist()], popularity, shown_from[order])

    def at(self, now: datetime, catalogue: Catalogue) -> Self:
        """What may be shown of them now, with what has changed in the catalogue since they were sorted."""
        shown = None if self.shown_from_us is None else np.flatnonzero(self.shown_from_us <= to_us(now))
        changed = [item_id for item_id in catalogue.changes if catalogue.get(item_id).can_be_shown(now)]
        return replace(self, shown=shown, changed=catalogue.changes, changed_and_shown=sorted(changed, key=self._place))

    def __iter__(self) -> Iterator[PopularItem]:
        """Most popular first."""
        return map(self.line, self.ids())

    def ids(self) -> Iterator[str]:
        """Of what may be shown, the most popular first."""
        places = range(len(self.item_ids)) if self.shown is None else self.shown
        unchanged = (item_id for place in places if (item_id := self.item_ids[place]) not in self.changed)
        if not self.changed_and_shown:
            return unchanged
        return heapq.merge(unchanged, self.changed_and_shown, key=self._place)

    def line(self, item_id: str) -> PopularItem:
        """One of them."""
        counts = self.popularity.counts.get(item_id, _NOBODY)
        spans = ("in the last 7 days", "in the last 30 days", "so far")
        for count, span in zip(counts[1:], spans, strict=True):
            if count:
                times = "once" if count == 1 else f"{count:,} times"
                reason = f"Popular: people chose it {times} {span}."
                return PopularItem(item_id, _score(self.popularity, item_id), reason)
        return PopularItem(item_id, 0.0, "New here: nobody has chosen it yet.")

    def _place(self, item_id: str) -> tuple[float, str]:
        return -_score(self.popularity, item_id), item_id


def _score(popularity: Popularity, item_id: str) -> float:
    """This week before this month before ever."""
    _, seven, thirty, total = popularity.counts.get(item_id, _NOBODY)
    return seven + thirty / 10 + total / 1_000
