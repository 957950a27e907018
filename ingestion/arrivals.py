"""How many events arrived when. The log numbers them in the order of arrival, so a moment is found by halving: a count
costs a few look-ups, however long the log is.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path


def arrivals_between(log_path: Path, moments: Sequence[datetime]) -> list[int]:
    """How many events were accepted from each moment, whole seconds in ascending order, until before the next.

    Events that were deleted since still count. A log that is not there yet has none.
    """
    if not log_path.exists():
        return [0] * (len(moments) - 1)
    with closing(sqlite3.connect(f"{log_path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        (last,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()

        def arrived_at(sequence: int) -> int:
            row = connection.execute(
                "SELECT received_at FROM events WHERE sequence >= ? ORDER BY sequence LIMIT 1", (sequence,)
            ).fetchone()
            return int(row[0])

        numbers = range(1, last + 1)
        firsts = [bisect_left(numbers, int(moment.timestamp()) * 1_000_000, key=arrived_at) for moment in moments]
    return [later - earlier for earlier, later in pairwise(firsts)]
