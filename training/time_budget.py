"""How long a run may take: each step that can stop early gets a share of what is left.

What cannot be cut is done whatever it takes: texts are read, the chosen heads fitted three times, the test judged. So a
budget far below that is overrun, and what the shares leave is for them.
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Option = TypeVar("Option")

ENDLESS = math.inf
"""A moment that never comes."""


class TimeBudget:
    """Minutes from now on, or None for as long as it takes."""

    def __init__(self, minutes: float | None) -> None:
        self._ends = ENDLESS if minutes is None else time.monotonic() + 60 * minutes

    def share(self, fraction: float) -> float:
        """The moment by ``time.monotonic`` at which a fraction of what is left will have passed."""
        return share(self._ends, fraction)


def share(until: float, fraction: float) -> float:
    """The moment at which a fraction of what is left until another one will have passed."""
    now = time.monotonic()
    return now + fraction * max(until - now, 0) if math.isfinite(until) else ENDLESS


def is_over(until: float) -> bool:
    """Whether a moment has come."""
    return time.monotonic() > until


def best_of(
    options: Iterable[Option], judge: Callable[[Option], float], until: float = ENDLESS
) -> tuple[Option, float]:
    """The option that the judge likes best, the first of equals; after ``until`` only the first is tried."""
    judged: list[tuple[Option, float]] = []
    for option in options:
        if judged and is_over(until):
            break
        judged.append((option, judge(option)))
    return max(judged, key=lambda pair: pair[1])
