"""The books of the lake: what landed, and what became of it, from the ledger and the rejects alone.

landed = accepted + duplicates + rejected, for every source and every ingestion.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ingestion.lake import Lake, LedgerEntry, RecordCounts
from ingestion.lake_schema import RecordType


@dataclass(frozen=True)
class Account:
    """What became of the rows of one source, or of one ingestion of it."""

    source: str
    records: tuple[RecordCounts, ...]
    """Of each kind of record apart."""
    reasons: Mapping[str, int]
    """Why rows were rejected, the commonest reason first; their counts add up to ``rejected``."""
    ingestion_id: str | None = None
    """None for a whole source."""
    interval_end: datetime | None = None
    """Until when what it accepted had arrived."""

    @property
    def landed(self) -> int:
        """All rows that came."""
        return sum(counts.n_landed for counts in self.records)

    @property
    def accepted(self) -> int:
        """Rows that are in the lake because of it."""
        return sum(counts.n_accepted for counts in self.records)

    @property
    def duplicates(self) -> int:
        """Rows that said what was known already."""
        return sum(counts.n_duplicate for counts in self.records)

    @property
    def rejected(self) -> int:
        """Rows that could not be used."""
        return sum(counts.n_rejected for counts in self.records)


@dataclass(frozen=True)
class RejectedRow:
    """A row that could not be used, as it was, and where to mend it."""

    source: str
    file: str
    line: int
    record_type: str
    received_at: datetime
    reason: str
    row: str


def accounts(lake: Lake, is_by_interval: bool = False) -> list[Account]:
    """One account for each source, or for each ingestion in the order of time."""
    reasons = _reasons_by_ingestion(lake.folder)
    of_ingestions = [_account(entry, reasons.get(entry.ingestion_id, {})) for entry in lake.ledger()]
    if is_by_interval:
        return sorted(of_ingestions, key=lambda account: (account.source, str(account.interval_end), _name(account)))
    by_source: dict[str, list[Account]] = defaultdict(list)
    for account in of_ingestions:
        by_source[account.source].append(account)
    return [_total(source, parts) for source, parts in sorted(by_source.items())]


def rejected_rows(
    lake: Lake, source: str | None = None, reason: str | None = None, limit: int | None = None
) -> list[RejectedRow]:
    """Rejects by place, of one source and with some words in their reason, as wished."""
    if not _rejects(lake.folder / "rejects"):
        return []
    statement = (
        "SELECT source, source_file, source_line, record_type, received_at, reason, raw FROM rejects"
        " WHERE ($source IS NULL OR source = $source) AND ($reason IS NULL OR contains(lower(reason), lower($reason)))"
        " ORDER BY source, source_file, source_line, received_at, reason LIMIT $limit"
    )
    parameters = {"source": source, "reason": reason, "limit": limit}
    return [RejectedRow(*row) for row in _query(lake.folder / "rejects", statement, parameters)]


def reasons_of(rejects: Path) -> dict[str, int]:
    """How often each reason occurs among the rejects in a folder, the commonest first."""
    if not _rejects(rejects):
        return {}
    return _commonest_first(dict(_query(rejects, "SELECT general_reason, count(*) FROM rejects GROUP BY ALL")))


def _reasons_by_ingestion(folder: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    if _rejects(folder / "rejects"):
        statement = "SELECT ingestion_id, general_reason, count(*) FROM rejects GROUP BY ALL"
        for ingestion_id, reason, n_rows in _query(folder / "rejects", statement):
            found[ingestion_id][reason] = n_rows
    return found


def _account(entry: LedgerEntry, reasons: Mapping[str, int]) -> Account:
    return Account(entry.source, entry.counts, _commonest_first(reasons), entry.ingestion_id, entry.interval_end)


def _total(source: str, parts: Sequence[Account]) -> Account:
    reasons: Counter[str] = Counter()
    for part in parts:
        reasons.update(part.reasons)
    records = tuple(
        _sum(kind, [counts for part in parts for counts in part.records if counts.record_type is kind])
        for kind in RecordType
    )
    return Account(source, records, _commonest_first(reasons))


def _sum(kind: RecordType, parts: Sequence[RecordCounts]) -> RecordCounts:
    return RecordCounts(
        kind,
        n_landed=sum(counts.n_landed for counts in parts),
        n_accepted=sum(counts.n_accepted for counts in parts),
        n_duplicate=sum(counts.n_duplicate for counts in parts),
        n_rejected=sum(counts.n_rejected for counts in parts),
    )


def _commonest_first(reasons: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))


def _name(account: Account) -> str:
    return account.ingestion_id or ""


def _rejects(folder: Path) -> list[Path]:
    return list(folder.glob("*/*.parquet"))


def _query(folder: Path, statement: str, parameters: Mapping[str, object] | None = None) -> Iterator[tuple[Any, ...]]:
    with closing(duckdb.connect()) as database:
        database.execute("SET TimeZone = 'UTC'")
        files = str(folder / "*" / "*.parquet")
        database.read_parquet(files, hive_partitioning=False).create_view("rejects")
        yield from database.execute(statement, parameters).fetchall()
