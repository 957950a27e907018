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
from training.history import History, HistoryBatch
from training.llm_recommender import HEADS
from training.neighbours import Neighbours

_SENTENCES: Final[Mapping[str, str]] = {
    "item_item": "Goes with {title}, which you chose.",
    "transitions": "Often chosen soon after {title}, which you chose.",
    "text": "Reads like {title}, which you chose.",
    "sequence": "Fits what you did lately, last {title}.",
}
_TRENDING: Final[Mapping[str, str]] = {
    "trend_1d": "Many people choose it today.",
    "trend_7d": "Many people choose it this week.",
    "trend_30d": "Many people choose it this month.",
    "trend_all": "A favourite of many.",
}
_OVERALL: Final = "The best of what is left for you."


class Explainer:
    """Explains the lines of one answer."""

    def __init__(
        self,
        model: ServedModel,
        catalogue: Catalogue,
        history: History,
        now_us: int,
        parts: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """``parts`` is what the model gave for this history at this moment."""
        self._model, self._catalogue, self._history, self._parts = model, catalogue, history, parts
        self._batch = HistoryBatch.of([history], [now_us])

    def reason(self, index: int) -> str:
        """One sentence for one item."""
        speaking = {head: float(part[index]) for head, part in self._parts.items() if head in self._favourable_heads}
        head = max(speaking, key=speaking.__getitem__, default=None)
        if head is None or speaking[head] <= 0:
            return _OVERALL
        if head in _TRENDING:
            return _TRENDING[head]
        cause = self._cause(head, index)
        return _OVERALL if cause is None else _SENTENCES[head].format(title=self._title(cause))

    @cached_property
    def _favourable_heads(self) -> frozenset[str]:
        """Heads that speak for an item when their score is high; a negative weight only holds others back."""
        recommender = self._model.recommender
        weights = recommender.weights[regime_of(self._batch)[0]]
        return frozenset(head for head, weight in zip(HEADS, weights, strict=True) if weight > 0)

    def _cause(self, head: str, index: int) -> int | None:
        """The history's item with the largest term in this head's score, or None when no item speaks for it."""
        if len(self._history.item_indices) == 0:
            return None
        if head == "sequence":
            return int(self._history.item_indices[-1])
        terms = self._terms(head, index)
        best = int(np.argmax(terms))
        return int(self._history.item_indices[best]) if terms[best] > 0 else None

    def _terms(self, head: str, index: int) -> NDArray[np.float32]:
        """(T,) what each item of the history adds to the head's score of one item."""
        recommender, items = self._model.recommender, self._history.item_indices
        if head == "item_item":
            return self._item_item_weights * _weights_towards(recommender.item_item, items, index)
        if head == "transitions":
            return self._recent_weights * _weights_towards(recommender.transitions, items, index)
        likeness: NDArray[np.float32] = recommender.item_vectors[items] @ recommender.item_vectors[index]
        return self._recent_weights * likeness

    @cached_property
    def _item_item_weights(self) -> NDArray[np.float32]:
        recommender = self._model.recommender
        share = np.array(recommender.gate, dtype=np.float32)[regime_of(self._batch)]
        weights: NDArray[np.float32] = recommender.recency.weights(self._batch, share)[0]
        return weights

    @cached_property
    def _recent_weights(self) -> NDArray[np.float32]:
        weights: NDArray[np.float32] = self._model.recommender.recent_decay.weights(self._batch)[0]
        return weights

    def _title(self, index: int) -> str:
        item_id = self._model.recommender.item_ids[index]
        return f"“{self._catalogue.get(item_id).title or item_id}”"


def _weights_towards(neighbours: Neighbours, items: NDArray[np.int32], index: int) -> NDArray[np.float32]:
    """(T,) the weight from each of these items to one item, 0 where it is no neighbour."""
    found = np.where(neighbours.items[items] == index, neighbours.weights[items], np.float32(0))
    total: NDArray[np.float32] = found.sum(axis=1)
    return total
