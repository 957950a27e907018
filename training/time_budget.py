"""How long a run may take: each step that can stop early gets a share of what is left.

What cannot stop early is made smaller: a large catalogue is judged on fewer events. Texts are read and the chosen heads
fitted three times whatever it takes: what is known of that is reserved, but a budget far below it is overrun.
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Option = TypeVar("Option")

ENDLESS = math.inf
"""A moment that never comes."""

_FEWEST_EVENTS = 500


class TimeBudget:
    """Minutes from now on, or None for as long as it takes."""

    def __init__(self, minutes: float | None) -> None:
        self._minutes = ENDLESS if minutes is None else minutes
        self._ends = ENDLESS if minutes is None else time.monotonic() + 60 * minutes

    def affordable(self, events: int, n_items: int, scores_per_minute: float) -> int:
        """How many of these events, each of which scores every item, a run of this length can look at.

        ``scores_per_minute`` is what a minute of the whole budget may be spent on, by the speed of two cores.
        """
        if not math.isfinite(self._minutes):
            return events
        return min(events, max(_FEWEST_EVENTS, int(self._minutes * scores_per_minute / n_items)))

    def reserve(self, seconds: float) -> None:
        """Keep so much of the end for what must be done whatever it takes: the shares are of the rest."""
        self._ends -= seconds

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
