"""The trend head: what many people want now, by window and age, from counts that are refreshed daily.

Each window is a part of its own, so that the blend can subtract the all-time level from the recent one.
"""

import numpy as np
from numpy.typing import NDArray

WINDOWS = ("trend_1d", "trend_7d", "trend_30d", "trend_all")
"""Names of the parts, in the order of the columns of a popularity table."""


def trend_score(counts: NDArray[np.float32], window: str) -> NDArray[np.float32]:
    """(…, V, 4) counts -> (…, V): logarithms, since the tenth interaction says less than the first."""
    score: NDArray[np.float32] = np.log1p(counts[..., WINDOWS.index(window)])
    return score
