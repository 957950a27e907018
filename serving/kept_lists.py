"""Lists that are asked for again before anything has changed: a page that is loaded anew, or that a visitor returns to.

A list follows from the user's state, the snapshot and the moment. The first two are compared, so that an event, an item
that was put and another model make a new list at once. The moment only moves what fades by the hour.
"""

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from nearline.session_features import UserState
from serving.ranking import rank
from serving.schemas import RecommendedItem
from serving.snapshot import Snapshot
from serving.wishes import Plan, Wish

KEPT_FOR: Final = timedelta(minutes=2)
"""How old a list may be; counts are not read more often, and a session ends after half an hour of silence."""
MAX_LINES: Final = 20_000
"""Of all lists together, which take some 10 MB; the oldest go first."""

_Key = tuple[str, int, frozenset[str], Wish]


@dataclass(frozen=True)
class _Kept:
    state: int  # its hash: a thousand states are a hundred thousand objects
    items: list[RecommendedItem]
    made_at: datetime


@dataclass
class _Shelf:
    """The lists of one snapshot."""

    snapshot: weakref.ref[Snapshot]  # weak, so that an old model goes when it is replaced
    lists: OrderedDict[_Key, _Kept] = field(default_factory=OrderedDict)  # in the order in which they were made
    n_lines: int = 0

    def keep(self, key: _Key, kept: _Kept) -> None:
        self._take(key)
        self.lists[key] = kept
        self.n_lines += len(kept.items)
        while self.n_lines > MAX_LINES or kept.made_at - self._oldest.made_at >= KEPT_FOR:
            self._take(next(iter(self.lists)))

    @property
    def _oldest(self) -> _Kept:
        return next(iter(self.lists.values()))

    def _take(self, key: _Key) -> None:
        if (taken := self.lists.pop(key, None)) is not None:
            self.n_lines -= len(taken.items)


class KeptLists:
    """The newest lists, shared by the threads that answer."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._shelf: _Shelf | None = None
        self._keeping = threading.Lock()

    def rank(
        self, snapshot: Snapshot, state: UserState, n: int, excluded: frozenset[str], now: datetime, plan: Plan
    ) -> tuple[list[RecommendedItem], bool]:
        """The list for one user, as ``serving.ranking.rank`` makes it, and whether it was there already."""
        # A filter is hardly ever asked for twice, and what could not be read just now will be in a moment.
        is_kept = plan.wish.item_filter is None and not plan.wish.explain and not plan.missing
        key, told, shelf = (state.user_id, n, excluded, plan.wish), hash(state), self._shelf
        if is_kept and shelf is not None and shelf.snapshot() is snapshot:
            kept = shelf.lists.get(key)
            if kept is not None and now - kept.made_at < KEPT_FOR and kept.state == told:
                return kept.items, True
        items = rank(snapshot, plan.state(state, now), n, excluded, now, plan)
        if is_kept:
            self._keep(snapshot, key, _Kept(told, items, now))
        return items, False

    def _keep(self, snapshot: Snapshot, key: _Key, kept: _Kept) -> None:
        with self._keeping:
            if self._shelf is None or self._shelf.snapshot() is not snapshot:
                self._shelf = _Shelf(weakref.ref(snapshot))
            self._shelf.keep(key, kept)
