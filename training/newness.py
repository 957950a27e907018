"""How new an item is to a trained model: how little the heads that learned from behaviour can know of it."""

import numpy as np
from numpy.typing import NDArray

TEXT_NEW, TREND_NEW = "text_new", "trend_new"
NEW_HEADS = (TEXT_NEW, TREND_NEW)
"""Heads that speak for what was hardly known at training, and are silent of all else."""
RARELY_MET = 5
"""κ: interactions up to which an item counts as cold. It tells what bias an item has that nobody looks for, may stand
in the places that a scenario keeps for such items, and is half as new as one that nobody has met."""


def newness(trained: NDArray[np.float32]) -> NDArray[np.float32]:
    """κ / (n + κ) for n interactions at training, from a table of popularity (V, 4): 1 where nobody has met an item."""
    return np.float32(RARELY_MET) / (trained[:, -1] + np.float32(RARELY_MET))
