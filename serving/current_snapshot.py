"""Holds the snapshot that answers are made from, and makes the next one when the model, the catalogue or counts change.

What follows from the exported catalogue, the training and the counts alone is kept, so that an item that is put or
deleted costs what it is, and a little numpy, and not what a catalogue of a million is.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingestion.live_items import ItemChange
from nearline.session_features import to_us
from serving.catalogue import ALWAYS, Catalogue, from_table
from serving.long_lived import made_to_stay
from serving.online_features import NO_POPULARITY, Popularity
from serving.popular_items import PopularItems
from serving.rules import Rules
from serving.snapshot import ServedModel, Snapshot

if TYPE_CHECKING:
    from training.quick_scores import QuickScores

Made = TypeVar("Made")
_NOTHING: Final = Catalogue()


class _Last(Generic[Made]):
    """What was made last, as long as it is asked for of the very same objects."""

    def __init__(self, make: Callable[..., Made]) -> None:
        self._make = make
        self._of: tuple[object, ...] | None = None

    def of(self, *objects: object, **others: object) -> Made:
        """The objects decide whether it is made anew; the others are only needed to make it."""
        if self._of is None or any(one is not other for one, other in zip(objects, self._of, strict=True)):
            self._made, self._of = self._make(*objects, **others), objects
        return self._made

    def forget(self) -> None:
        """Keep nothing."""
        if self._of is not None:
            del self._made
            self._of = None


class CurrentSnapshot:
    """The champion's watcher, the catalogue's refresher and live items each replace their part."""

    def __init__(self, rules: Sequence[Rules] = ()) -> None:
        """Nothing is known yet. ``rules`` are placed before a snapshot is used, so that no answer waits for it."""
        self._building = threading.Lock()
        self._rules = [each for each in rules if each]
        self._model: ServedModel | None = None
        self._exported: Catalogue | None = None
        self._changes: dict[str, ItemChange] = {}
        self._changed = _NOTHING
        self._popularity = NO_POPULARITY
        self._missing: frozenset[str] = frozenset()
        self._of_bundle = _Last(from_table)
        self._popular = _Last(PopularItems.of)
        self._trained_rows = _Last(_trained_rows)
        self._trained_counts = _Last(_trained_counts)
        self._quick = _Last(_with_popularity)
        self.snapshot = Snapshot()

    def set_model(self, model: ServedModel) -> None:
        """From the next request on, this model answers."""
        with made_to_stay(), self._building:
            self._model = model
            self._rebuild()

    def set_catalogue(self, catalogue: Catalogue | None, popularity: Popularity, missing: frozenset[str]) -> None:
        """From the next request on, these items and counts are used; ``missing`` names what could not be read."""
        with made_to_stay(), self._building:
            self._exported, self._popularity, self._missing = catalogue, popularity, missing
            self._rebuild()

    def change_items(self, changes: Iterable[ItemChange]) -> None:
        """From the next request on, these items are as they were put, or gone, and all others as before."""
        with made_to_stay(), self._building:
            newest = {change.item.item_id: change for change in changes}
            self._changes |= newest
            self._changed = self._changed.changed(newest.values())
            self._rebuild()

    def known_item_ids(self) -> list[str]:
        """Every item of the catalogue and of the model."""
        snapshot = self.snapshot
        of_model = snapshot.model.item_index if snapshot.model else {}
        return list(dict.fromkeys([*snapshot.catalogue, *of_model]))

    def _rebuild(self) -> None:
        now, model, popularity = datetime.now(UTC), self._model, self._popularity
        exported, catalogue = self._catalogues()
        snapshot = Snapshot(
            catalogue=catalogue,
            popular=self._popular.of(exported, popularity).at(now, catalogue),
            missing=self._missing,
        )
        if model is not None:
            rows = self._trained_rows.of(exported, model.items, model=model)
            counts = _all_counts(self._trained_counts.of(popularity, model.items, model=model), popularity, model)
            snapshot = replace(
                snapshot,
                model=model,
                popularity=counts,
                quick=self._quick.of(popularity, model, counts=counts),
                is_available=_shown_from_us(exported, catalogue, rows, model) <= to_us(now),
                trained_rows=rows,
            )
        for rules in self._rules:
            snapshot.placed(rules)
        self.snapshot = snapshot

    def _catalogues(self) -> tuple[Catalogue, Catalogue]:
        """As it was exported, or before that as the model's bundle says; and the same with what has changed since."""
        exported = self._exported
        if exported is not None:
            self._of_bundle.forget()
        else:
            exported = self._of_bundle.of(self._model.items) if self._model else _NOTHING
        if self._changed.unchanged is not exported:
            self._changed = exported.changed(self._changes.values())
        return exported, self._changed


def _trained_rows(exported: Catalogue, _: object, model: ServedModel) -> NDArray[np.int64]:
    """(V',) where the items of the training stand among the exported ones; -1 for those that nobody described."""
    rows = np.full(model.n_trained, -1)
    index_of = model.item_index.get
    for row, item_id in enumerate(exported):
        if (index := index_of(item_id, len(rows))) < len(rows):
            rows[index] = row
    return rows


def _trained_counts(popularity: Popularity, _: object, model: ServedModel) -> NDArray[np.float32]:
    """(V', 4) of the items of the training."""
    counts = np.zeros((model.n_trained, 4), dtype=np.float32)
    index_of = model.item_index.get
    for item_id, row in popularity.counts.items():
        if (index := index_of(item_id, len(counts))) < len(counts):
            counts[index] = row
    return counts


def _all_counts(trained: NDArray[np.float32], popularity: Popularity, model: ServedModel) -> NDArray[np.float32] | None:
    """(V, 4) counts in the model's order, or None when nothing happened lately and the model knows better."""
    new = [popularity.counts.get(item_id, (0, 0, 0, 0)) for item_id in model.new_item_ids]
    counts = np.concatenate([trained, np.array(new, dtype=np.float32).reshape(-1, 4)]) if new else trained
    return counts if counts[:, :3].any() else None


def _with_popularity(_: Popularity, model: ServedModel, counts: NDArray[np.float32] | None) -> "QuickScores | None":
    return model.quick.with_popularity(counts) if model.quick and counts is not None else model.quick


def _shown_from_us(
    exported: Catalogue, catalogue: Catalogue, rows: NDArray[np.int64], model: ServedModel
) -> NDArray[np.int64]:
    """(V,) from when on each item may be shown."""
    shown_from = np.full(len(model.item_index), ALWAYS)
    trained = shown_from[: len(rows)]
    is_described = rows >= 0
    trained[is_described] = exported.shown_from_us[rows[is_described]]
    for item_id in (*model.new_item_ids, *catalogue.changes):
        if (index := model.item_index.get(item_id)) is not None:
            shown_from[index] = catalogue.get(item_id).shown_from_us
    return shown_from
