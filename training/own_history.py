"""The user's own history as scores: for lists that may repeat what was met, since in others all of it is left out."""

import numpy as np
from numpy.typing import NDArray

from training.history import HistoryBatch, Recency


def own_history_scores(batch: HistoryBatch, recency: Recency, n_items: int) -> NDArray[np.float32]:
    """(B, V) how often and how lately the user met an item; 0 for what they never met."""
    weights = recency.weights(batch)
    scores = np.zeros((len(batch), n_items), dtype=np.float32)
    rows, columns = np.nonzero(weights)
    np.add.at(scores, (rows, batch.items[rows, columns]), weights[rows, columns])
    return grown(scores)


def grown(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights of an item in a history, summed, to what they say: their root, since the tenth meeting says less than the
    first, and a favourite of long ago must not stand above all that people want now.
    """
    return np.asarray(np.sqrt(sums), dtype=np.float32)
