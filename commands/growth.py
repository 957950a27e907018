"""Does something grow that should not? A straight line through what was measured on each day, with its uncertainty."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TOLERATED = 0.10
"""Growth over the whole time, as a share of the mean, that counts as none."""
MIN_DAYS = 4


@dataclass(frozen=True)
class Slope:
    """How one figure changed from day to day."""

    per_day: float
    low: float
    """Lower end of the slope's 95 % interval."""
    high: float
    total: float
    """The change over all days, as a share of the mean."""

    @property
    def has_grown(self) -> bool:
        """Whether it surely grew, and by more than is tolerated."""
        return self.low > 0 and self.total > TOLERATED


def slope(figures: Sequence[float]) -> Slope | None:
    """The line through one figure a day; None for too few days to draw one."""
    n = len(figures)
    if n < MIN_DAYS:
        return None
    day, figure = np.arange(n) - (n - 1) / 2, np.asarray(figures, dtype=float)
    per_day = float(day @ figure / (day @ day))
    left_over = figure - figure.mean() - per_day * day
    error = 1.96 * float(np.sqrt(left_over @ left_over / (n - 2) / (day @ day)))
    total = per_day * (n - 1) / figure.mean() if figure.mean() else 0.0
    return Slope(per_day, per_day - error, per_day + error, float(total))


def slopes(days: Sequence[Mapping[str, float]], warm_up: int) -> dict[str, Slope]:
    """The slope of every figure after the first days, in which everything begins at nothing."""
    measured = days[warm_up:]
    names = list(measured[0]) if measured else []
    lines = {name: slope([day[name] for day in measured]) for name in names}
    return {name: line for name, line in lines.items() if line is not None}


def database_size(path: Path) -> tuple[int, int]:
    """(bytes in use, rows of all tables) of an SQLite database that others may be writing."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        n_rows = sum(database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables)  # noqa: S608
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * size, n_rows
