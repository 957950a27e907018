"""The trend head: what many people want now, by window and age, from counts that are refreshed daily.

Each window is a part of its own, so that the blend can subtract the all-time level from the recent one. One more part
is what is wanted now and was hardly known when the model was trained: the heads that learned from behaviour can say
little of it, however well it goes.
"""

import numpy as np
from numpy.typing import NDArray

from training.newness import TREND_NEW, newness

WINDOWS = ("trend_1d", "trend_7d", "trend_30d", "trend_all")
"""Names of the parts that are columns of a popularity table, in their order."""
TRENDS = (*WINDOWS, TREND_NEW)
_WEEK = WINDOWS.index("trend_7d")


def trend_score(counts: NDArray[np.float32], trained: NDArray[np.float32], trend: str) -> NDArray[np.float32]:
    """(…, V, 4) counts now and (V, 4) at training -> (…, V).

    Logarithms, since the tenth interaction says less than the first; what is new is the week's, times its newness.
    """
    score: NDArray[np.float32]
    if trend == TREND_NEW:
        score = np.log1p(counts[..., _WEEK]) * newness(trained)
    else:
        score = np.log1p(counts[..., WINDOWS.index(trend)])
    return score
