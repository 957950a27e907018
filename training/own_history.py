"""The user's own history as scores: for lists that may repeat what was met, since in others all of it is left out."""

import numpy as np
from numpy.typing import NDArray

from training.history import HistoryBatch, Recency


def own_history_scores(batch: HistoryBatch, recency: Recency, n_items: int) -> NDArray[np.float32]:
    """(B, V) how often and how lately the user met an item: its weights in the history, summed."""
    weights = recency.weights(batch)
    scores = np.zeros((len(batch), n_items), dtype=np.float32)
    rows, columns = np.nonzero(weights)
    np.add.at(scores, (rows, batch.items[rows, columns]), weights[rows, columns])
    return scores
