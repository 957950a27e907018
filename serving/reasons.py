"""Why an item is on the list, as a sentence: from the head that speaks most for it, and the history item behind that.

For the linear heads (item-item, transitions, text) this is exact: their score is a sum over the history's items, and
the one with the largest term is named. The sequence head reads the history as a whole; it is explained by what came
last.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serving.catalogue import Catalogue
from serving.snapshot import ServedModel
from training.blend import regime_of
from training.history import HistoryBatch
from training.llm_recommender import HEADS, TEXT
from training.neighbours import Neighbours
from training.newness import TEXT_NEW
from training.own_history import grown

_SENTENCES: Final[Mapping[str, str]] = {
    "item_item": "Goes with {title}, which you chose.",
    "transitions": "Often chosen soon after {title}, which you chose.",
    TEXT: "Reads like {title}, which you chose.",
    TEXT_NEW: "New, and reads like {title}, which you chose.",
    "own_history": "You chose {title} before.",
    "sequence": "Fits what you did lately, last {title}.",
}
_TRENDING: Final[Mapping[str, str]] = {
    "trend_1d": "Many people choose it today.",
    "trend_7d": "Many people choose it this week.",
    "trend_30d": "Many people choose it this month.",
    "trend_all": "A favourite of many.",
    "trend_new": "New, and many people choose it this week.",
}
_OVERALL: Final = "The best of what is left for you."


class Explainer:
    """Explains the lines of one answer, all at once, since each needs only a few cells of large tables."""

    def __init__(
        self,
        model: ServedModel,
        catalogue: Catalogue,
        batch: HistoryBatch,
        parts: Mapping[str, NDArray[np.float32]],
        shown: NDArray[np.int64],
    ) -> None:
        """``batch`` is one moment, ``shown`` (N,) the items of the list, ``parts`` (N,) what each head gave them."""
        self._model, self._catalogue, self._parts, self._shown = model, catalogue, parts, shown
        self._batch = batch
        self._met = batch.items[0]  # (T,)
        self._causes: dict[str, list[int | None]] = {}

    def reasons(self) -> list[str]:
        """One sentence for each item shown."""
        heads = [head for head in self._parts if head in self._favourable_heads]
        if not heads:
            return [_OVERALL] * len(self._shown)
        speaking = np.stack([self._parts[head] for head in heads])  # (H, N)
        strongest = speaking.argmax(axis=0)
        return [
            self._sentence(heads[head], line) if value > 0 else _OVERALL
            for line, (head, value) in enumerate(zip(strongest.tolist(), speaking.max(axis=0).tolist(), strict=True))
        ]

    @cached_property
    def _favourable_heads(self) -> frozenset[str]:
        """Heads that speak for an item when their score is high; a negative weight only holds others back."""
        weights = self._model.recommender.weights[regime_of(self._batch)[0]].tolist()
        return frozenset(head for head, weight in zip(HEADS, weights, strict=True) if weight > 0)

    def _sentence(self, head: str, line: int) -> str:
        if head in _TRENDING:
            return _TRENDING[head]
        if head not in self._causes:
            self._causes[head] = self._causes_of(head)
        cause = self._causes[head][line]
        return _OVERALL if cause is None else _SENTENCES[head].format(title=self._title(cause))

    def _causes_of(self, head: str) -> list[int | None]:
        """For each item shown the history's item with the largest term in this head's score, if one speaks for it."""
        if len(self._met) == 0:
            return [None] * len(self._shown)
        if head == "sequence":
            return [int(self._met[-1])] * len(self._shown)
        terms = self.terms_of(head)  # (N, T)
        best = self._met[terms.argmax(axis=1)].tolist()
        return [item if term > 0 else None for item, term in zip(best, terms.max(axis=1).tolist(), strict=True)]

    def terms_of(self, head: str) -> NDArray[np.float32]:
        """(N, T) what each item of the history adds to the head's score of each item shown."""
        recommender = self._model.recommender
        reading: NDArray[np.float32] = recommender.reading(head, self._batch)[0]
        if head == "item_item":
            return self._along(recommender.item_item, reading)
        if head == "transitions":
            return self._along(recommender.transitions, reading)
        if head == "own_history":
            own = (self._shown[:, None] == self._met[None, :]) * reading
            sums = own.sum(axis=1, keepdims=True)
            shares: NDArray[np.float32] = own / np.where(sums > 0, sums, 1)
            return shares * grown(sums)
        likeness: NDArray[np.float32] = recommender.item_vectors[self._shown] @ recommender.item_vectors[self._met].T
        return likeness * reading

    def _along(self, neighbours: Neighbours, counts: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, T) the weights from the items met to the items shown, times what each item met counts."""
        terms = np.zeros((len(self._shown), len(self._met)), dtype=np.float32)
        line_of = np.full(len(self._model.item_index), -1, dtype=np.int16)
        line_of[self._shown] = np.arange(len(self._shown), dtype=np.int16)
        counting = np.flatnonzero(counts)
        near, weights = neighbours.of(self._met[counting])  # (T', K)
        lines = line_of[near]
        row, column = np.nonzero(lines >= 0)
        # Shorter rows are padded with item 0 and weight 0, so an item may stand in a row twice.
        np.add.at(terms, (lines[row, column], counting[row]), weights[row, column])
        weighted: NDArray[np.float32] = terms * counts
        return weighted

    def _title(self, index: int) -> str:
        item_id = self._model.recommender.item_ids[index]
        return f"“{self._catalogue.get(item_id).title or item_id}”"
