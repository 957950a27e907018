"""The recommender beside itself: each head alone, each switched off, and a champion from another catalogue."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.blend import regime_of
from training.evaluate import Scorer
from training.history import PADDING, HistoryBatch
from training.llm_recommender import HEADS, LLMRecommender
from training.promotion import RECOMMENDER_NAME

Scores = NDArray[np.float32]
ONLY, WITHOUT = "only_", "without_"
PARTS = (ONLY, WITHOUT)
"""How the names of a recommender's parts begin."""
ALONE = ("item_item", "sequence", "text", "transitions")
GROUPS = {kind: tuple(head for head in HEADS if head.startswith(kind)) for kind in ("text", "trend")}


@dataclass(frozen=True)
class Variants:
    """One pass over the heads gives the model, its parts and itself without them; then the others follow."""

    recommender: LLMRecommender
    others: dict[str, Scorer]

    def score_many(
        self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]
    ) -> Iterator[tuple[str, Scores]]:
        """``recommender``, ``only_<head>``, ``without_<head>``, then the others by name."""
        recommender = self.recommender
        weights = recommender.weights[regime_of(batch)]  # (B, H)
        parts: dict[str, Scores] = {}
        used = [head for head in HEADS if recommender.weights[:, HEADS.index(head)].any()]
        asked = [head for head in HEADS if head in used or (head in ALONE and self._has(head))]
        for head, scores in recommender.head_scores(batch, tables, table_of, tuple(asked)):
            if head in used:
                part = weights[:, HEADS.index(head)][:, None] * scores
                name = next((group for group, heads in GROUPS.items() if head in heads), head)
                parts[name] = parts[name] + part if name in parts else part
            if head in ALONE:
                yield f"{ONLY}{head}", scores
        total = np.zeros((len(batch), recommender.n_items), dtype=np.float32)
        for part in parts.values():
            total += part
        yield RECOMMENDER_NAME, total.copy()
        if len(parts) > 1:
            for name, part in parts.items():
                yield f"{WITHOUT}{name}", total - part
        for name, model in self.others.items():
            yield name, model.score_batch(batch, tables, table_of)

    def _has(self, head: str) -> bool:
        return head != "sequence" or self.recommender.sequence is not None


@dataclass(frozen=True)
class Translated:
    """A recommender with a catalogue of its own, asked in the words of another one; items it lacks come last."""

    recommender: LLMRecommender
    place: NDArray[np.int32]  # (V,) of each asked item in the recommender's catalogue, PADDING where it is not

    @classmethod
    def to(cls, recommender: LLMRecommender, item_ids: list[str]) -> "Translated":
        """Match items by id."""
        index_of = {item_id: index for index, item_id in enumerate(recommender.item_ids)}
        return cls(recommender, np.array([index_of.get(item_id, PADDING) for item_id in item_ids], dtype=np.int32))

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """(B, V) in the order of the asked catalogue."""
        known = self.place != PADDING
        items = np.where(batch.is_item, self.place[np.maximum(batch.items, 0)], PADDING)
        order = np.argsort(items != PADDING, axis=1, kind="stable")  # unknown items fall out to the left
        own = HistoryBatch(
            np.take_along_axis(items, order, axis=1).astype(np.int32),
            np.where(np.take_along_axis(items, order, axis=1) != PADDING, np.take_along_axis(batch.times, order, 1), 0),
            batch.now,
        )
        own_tables = np.zeros((len(tables), self.recommender.n_items, tables.shape[2]), dtype=np.float32)
        own_tables[:, self.place[known]] = tables[:, known]
        scores = self.recommender.score_batch(own, own_tables, table_of)
        answer = np.full((len(batch), len(self.place)), scores.min() - 1, dtype=np.float32)
        answer[:, known] = scores[:, self.place[known]]
        return answer
