"""How the commands about data show counts, to people in a terminal."""

from collections.abc import Iterable, Mapping

from rich.markup import escape
from rich.table import Table

from ingestion.lake import RecordCounts


def books_table(parts: Iterable[RecordCounts]) -> Table:
    """What became of each kind of record."""
    table = numbers_table(("record",), ("landed", "accepted", "duplicate", "rejected"))
    for counts in parts:
        numbers = (counts.n_landed, counts.n_accepted, counts.n_duplicate, counts.n_rejected)
        table.add_row(str(counts.record_type), *(f"{number:,}" for number in numbers))
    return table


def reasons_table(reasons: Mapping[str, int]) -> Table:
    """Why rows were rejected, and how often."""
    table = Table("rows", "reason")
    table.columns[0].justify = "right"
    for reason, n_rows in reasons.items():
        table.add_row(f"{n_rows:,}", escape(reason))
    return table


def numbers_table(words: Iterable[str], numbers: Iterable[str]) -> Table:
    """A table whose last columns are numbers."""
    table = Table(*words)
    for name in numbers:
        table.add_column(name, justify="right")
    return table
