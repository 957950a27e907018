"""A list that does not say one thing ten times: maximal marginal relevance over the items' whitened vectors."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

POOL: Final = 5
"""Candidates per line of the list, the best by score: what is further down is not worth its difference."""


def diversified(
    scores: NDArray[np.floating], vectors: NDArray[np.float32], n: int, diversity: float
) -> NDArray[np.int64]:
    """Positions of n lines in the order of the list: (1 − d) · relevance − d · likeness to the likest line above.

    ``scores`` (N,) are brought to 0…1, ``vectors`` (N, E) have length 1. 0 is the order of scores; ties by position.
    """
    spread = float(scores.max(initial=0) - scores.min(initial=0)) if len(scores) else 0.0
    relevance = (scores - scores.min()) / spread if spread > 0 else np.zeros(len(scores))
    likest = np.zeros(len(scores))
    is_left = np.ones(len(scores), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(n, len(scores))):
        gain = np.where(is_left, (1 - diversity) * relevance - diversity * likest, -np.inf)
        best = int(gain.argmax())
        likeness = vectors @ vectors[best]
        likest = np.maximum(likest, likeness) if chosen else likeness
        is_left[best] = False
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)
