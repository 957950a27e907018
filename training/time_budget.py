"""How long a run may take: each step that can stop early gets a share of what is left.

What cannot be cut is done whatever it takes: texts are read, the chosen heads fitted three times, the test judged. So a
budget far below that is overrun, and what the shares leave is for them.
"""

import math
import time

ENDLESS = math.inf
"""A moment that never comes."""


class TimeBudget:
    """Minutes from now on, or None for as long as it takes."""

    def __init__(self, minutes: float | None) -> None:
        self._ends = ENDLESS if minutes is None else time.monotonic() + 60 * minutes

    def share(self, fraction: float) -> float:
        """The moment by ``time.monotonic`` at which a fraction of what is left will have passed."""
        now = time.monotonic()
        return now + fraction * max(self._ends - now, 0) if math.isfinite(self._ends) else ENDLESS


def is_over(until: float) -> bool:
    """Whether a moment has come."""
    return time.monotonic() > until
