"""The reigning champion on a newer holdout: its bundle, scoring in another snapshot's order of items.

For the promotion gate. The champion may be judged only on events after its own training data ended, since it was
refitted on everything before; those rows go into ``evaluation/per_user.parquet`` as model ``champion``, slice
``since_champion``.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import registry
from training.bundle import load_bundle
from training.history import PADDING, HistoryBatch
from training.llm_recommender import LLMRecommender

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Reigning:
    """A recommender that speaks of other items, or of the same in another order."""

    recommender: LLMRecommender
    theirs_of_ours: NDArray[np.int32]  # (V,) the champion's index of each of our items, PADDING where it has none
    until_us: int
    """The end of its training data: only later events are news to it."""

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """(B, V) in our order; items that the champion does not know stand last."""
        known = np.flatnonzero(self.theirs_of_ours != PADDING)
        theirs = self.theirs_of_ours[known]
        their_tables = np.zeros((len(tables), self.recommender.n_items, tables.shape[2]), dtype=np.float32)
        their_tables[:, theirs] = tables[:, known]
        found = self.recommender.score_batch(self._translate(batch), their_tables, table_of)  # (B, V of theirs)
        scores = np.empty((len(batch), len(self.theirs_of_ours)), dtype=np.float32)
        scores[:] = found.min(axis=1, keepdims=True) - 1
        scores[:, known] = found[:, theirs]
        return scores

    def _translate(self, batch: HistoryBatch) -> HistoryBatch:
        items = np.where(batch.items == PADDING, PADDING, self.theirs_of_ours[batch.items]).astype(np.int32)
        order = np.argsort(items != PADDING, axis=1, kind="stable")  # what it knows moves right, in its order
        return HistoryBatch(
            np.take_along_axis(items, order, axis=1), np.take_along_axis(batch.times, order, axis=1), batch.now
        )


def reigning_champion(tracking_uri: str, item_ids: Sequence[str]) -> Reigning | None:
    """The champion, ready to score over ``item_ids``; None where there is none.

    Raises BundleError when its bundle is damaged or of an older format.
    """
    champion = registry.champion(tracking_uri)
    if champion is None:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        bundle = load_bundle(registry.download(champion, Path(temporary)))
    index_of = {item_id: index for index, item_id in enumerate(bundle.recommender.item_ids)}
    theirs = np.array([index_of.get(item_id, PADDING) for item_id in item_ids], dtype=np.int32)
    return Reigning(bundle.recommender, theirs, int(bundle.manifest.data["until_us"]))
