"""The model, the catalogue and the popularity that answers are made from: one immutable object, replaced as a whole.

A request takes the snapshot once and uses it to its end, so an answer never mixes two models or two catalogues.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ingestion.live_items import ItemChange
from serving.catalogue import Catalogue, from_table
from serving.long_lived import made_to_stay
from serving.online_features import Popularity
from serving.placed_rules import PlacedRules
from serving.rules import Rules
from serving.schemas import ModelRef
from training.newness import RARELY_MET

if TYPE_CHECKING:
    import pyarrow

    from serving.text_tower import TextTower
    from training.llm_recommender import LLMRecommender
    from training.quick_scores import QuickScores

NO_POPULARITY: Final = Popularity({}, None)
_NEVER: Final = (0, 0, 0, 0)


@dataclass(frozen=True)
class ServedModel:
    """One registered version, loaded and warmed up."""

    ref: ModelRef
    recommender: "LLMRecommender"
    item_index: dict[str, int]
    items: "pyarrow.Table"  # as they were when the model was trained
    knows_strangers: bool  # it ranks by popularity where there is no history; otherwise popular items are the answer
    tower: "TextTower | None" = None  # reads new items and queries; None where the bundle does not say how
    quick: "QuickScores | None" = None  # finds what can lead a list; None where scoring everything is as quick


@dataclass(frozen=True)
class PopularItem:
    """One line of the list for everybody."""

    item_id: str
    score: float
    reason: str


@dataclass(frozen=True)
class PopularItems:
    """The list for everybody, whose lines are made as they are read: few ever are, of perhaps a million."""

    item_ids: tuple[str, ...] = ()
    popularity: Popularity = NO_POPULARITY

    def __iter__(self) -> Iterator[PopularItem]:
        """Most popular first."""
        return map(self.line, self.item_ids)

    def line(self, item_id: str) -> PopularItem:
        """One of them."""
        return _popular_item(item_id, self.popularity.counts.get(item_id, _NEVER))


@dataclass(frozen=True)
class Snapshot:
    """All that one answer needs besides the user."""

    model: ServedModel | None = None
    catalogue: Catalogue = field(default_factory=Catalogue)
    popularity: NDArray[np.float32] | None = None  # (V, 4) in the model's order; None: use the model's own
    quick: "QuickScores | None" = None  # the model's, with this popularity
    is_available: NDArray[np.bool_] | None = None  # (V,)
    popular: PopularItems = PopularItems()
    missing: frozenset[str] = frozenset()
    _placed: dict[Rules, PlacedRules] = field(default_factory=dict, init=False, compare=False, repr=False)

    def placed(self, rules: Rules) -> PlacedRules:
        """Rules over these items; worked out when they are first asked for."""
        if rules not in self._placed:
            self._placed[rules] = PlacedRules.over(rules, self.catalogue.index, self.catalogue_rows)
        return self._placed[rules]

    @cached_property
    def is_cold(self) -> NDArray[np.bool_]:
        """(V,) items that nobody or hardly anybody has met, as far as the popularity of these answers knows."""
        counts = self.popularity
        if counts is None:
            counts = self.model.recommender.popularity if self.model else np.zeros((0, 4), dtype=np.float32)
        return np.asarray(counts[:, -1] <= RARELY_MET, dtype=np.bool_)

    @cached_property
    def catalogue_rows(self) -> NDArray[np.int64]:
        """(V,) where the model's items stand in the catalogue's index; -1 for those that nobody described."""
        row_of = self.catalogue.index.row_of
        return np.array([row_of.get(item_id, -1) for item_id in (self.model.item_index if self.model else ())], int)

    def of_model(self, values: NDArray[np.generic], otherwise: float) -> NDArray[Any]:
        """(V,) of values over the catalogue (C,); ``otherwise`` for what nobody described."""
        if not len(values):
            return np.full(len(self.catalogue_rows), otherwise, dtype=values.dtype)
        return np.where(self.catalogue_rows >= 0, values[self.catalogue_rows], values.dtype.type(otherwise))


class CurrentSnapshot:
    """Holds the snapshot; the champion's watcher and the catalogue's refresher each replace their part."""

    def __init__(self, rules: Sequence[Rules] = ()) -> None:
        """Nothing is known yet. ``rules`` are placed before a snapshot is used, so that no answer waits for it."""
        self._building = threading.Lock()
        self._rules = [each for each in rules if each]
        self._model: ServedModel | None = None
        self._catalogue: Catalogue | None = None
        self._of_bundle: tuple[pyarrow.Table, Catalogue] | None = None
        self._changes: tuple[ItemChange, ...] = ()
        self._changed: tuple[Catalogue, tuple[ItemChange, ...], Catalogue] | None = None
        self._popularity = NO_POPULARITY
        self._missing: frozenset[str] = frozenset()
        self.snapshot = Snapshot()

    def set_model(self, model: ServedModel) -> None:
        """From the next request on, this model answers."""
        with made_to_stay(), self._building:
            self._model = model
            self._rebuild()

    def set_catalogue(self, catalogue: Catalogue | None, popularity: Popularity, missing: frozenset[str]) -> None:
        """From the next request on, these items and counts are used; ``missing`` names what could not be read."""
        with made_to_stay(), self._building:
            self._catalogue, self._popularity, self._missing = catalogue, popularity, missing
            self._rebuild()

    def set_live_items(self, changes: Iterable[ItemChange]) -> None:
        """From the next request on, these items are as they were put, or gone: one change of each."""
        with made_to_stay(), self._building:
            self._changes = tuple(changes)
            self._rebuild()

    def known_item_ids(self) -> list[str]:
        """Every item of the catalogue and of the model."""
        snapshot = self.snapshot
        of_model = snapshot.model.item_index if snapshot.model else {}
        return list(dict.fromkeys([*snapshot.catalogue.items, *of_model]))

    def _rebuild(self) -> None:
        now = datetime.now(UTC)
        model = self._model
        catalogue = self._with_changes(self._exported_or_of_bundle())
        popularity = _aligned(self._popularity, model) if model else None
        quick = model.quick if model else None
        snapshot = Snapshot(
            model=model,
            catalogue=catalogue,
            popularity=popularity,
            quick=quick.with_popularity(popularity) if quick and popularity is not None else quick,
            is_available=catalogue.availability(model.item_index, now) if model else None,
            popular=rank_by_popularity(catalogue, self._popularity, now),
            missing=self._missing,
        )
        for rules in self._rules:
            snapshot.placed(rules)
        self.snapshot = snapshot

    def _exported_or_of_bundle(self) -> Catalogue:
        """The exported catalogue; before there is one, what the model's bundle says of its items."""
        if self._catalogue is not None or self._model is None:
            self._of_bundle = None
            return self._catalogue or Catalogue()
        if self._of_bundle is None or self._of_bundle[0] is not self._model.items:
            self._of_bundle = self._model.items, from_table(self._model.items)
        return self._of_bundle[1]

    def _with_changes(self, catalogue: Catalogue) -> Catalogue:
        """The catalogue with what was put and deleted; the same object, with its index, while both are the same."""
        if not self._changes:
            return catalogue
        if self._changed is None or self._changed[0] is not catalogue or self._changed[1] is not self._changes:
            self._changed = catalogue, self._changes, catalogue.changed(self._changes)
        return self._changed[2]


def _aligned(popularity: Popularity, model: ServedModel) -> NDArray[np.float32] | None:
    """(V, 4) counts in the model's order, or None when nothing happened lately and the model knows better."""
    counts = np.zeros((len(model.item_index), 4), dtype=np.float32)
    for item_id, row in popularity.counts.items():
        index = model.item_index.get(item_id)
        if index is not None:
            counts[index] = row
    return counts if counts[:, :3].any() else None


def rank_by_popularity(catalogue: Catalogue, popularity: Popularity, now: datetime) -> PopularItems:
    """The list for everybody, most popular first: this week before this month before ever."""
    scores = {
        item_id: _popular_score(popularity.counts.get(item_id, _NEVER))
        for item_id in dict.fromkeys([*catalogue.items, *popularity.counts])
        if catalogue.get(item_id).can_be_shown(now)
    }
    return PopularItems(tuple(sorted(scores, key=lambda item_id: (-scores[item_id], item_id))), popularity)


def _popular_score(counts: tuple[int, int, int, int]) -> float:
    _, seven, thirty, total = counts
    return seven + thirty / 10 + total / 1_000


def _popular_item(item_id: str, counts: tuple[int, int, int, int]) -> PopularItem:
    score = _popular_score(counts)
    spans = ("in the last 7 days", "in the last 30 days", "so far")
    for count, span in zip(counts[1:], spans, strict=True):
        if count:
            times = "once" if count == 1 else f"{count:,} times"
            return PopularItem(item_id, score, f"Popular: people chose it {times} {span}.")
    return PopularItem(item_id, score, "New here: nobody has chosen it yet.")
