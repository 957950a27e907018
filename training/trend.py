"""The trend head: what many people want now, by window and age, from counts that are refreshed daily.

Each window is a part of its own, so that the blend can subtract the all-time level from the recent one. One more part
is what is wanted now and was hardly known when the model was trained: the heads that learned from behaviour can say
little of it, however well it goes.
"""

import numpy as np
from numpy.typing import NDArray

WINDOWS = ("trend_1d", "trend_7d", "trend_30d", "trend_all")
"""Names of the parts that are columns of a popularity table, in their order."""
NEW = "trend_new"
TRENDS = (*WINDOWS, NEW)
_WEEK, _ALL = WINDOWS.index("trend_7d"), WINDOWS.index("trend_all")
_KNOWN = 5.0
"""Interactions at training with which an item counts half as new."""


def trend_score(counts: NDArray[np.float32], trained: NDArray[np.float32], trend: str) -> NDArray[np.float32]:
    """(…, V, 4) counts now and (V, 4) at training -> (…, V).

    Logarithms, since the tenth interaction says less than the first; what is new is the week's, times κ / (n + κ) for
    n interactions at training.
    """
    score: NDArray[np.float32]
    if trend == NEW:
        score = np.log1p(counts[..., _WEEK]) * (_KNOWN / (trained[:, _ALL] + _KNOWN))
    else:
        score = np.log1p(counts[..., WINDOWS.index(trend)])
    return score
