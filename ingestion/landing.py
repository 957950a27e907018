"""Rows of any source become records of the contract, or rejects that say why.

Batches keep memory flat whatever the size of the source. The whole batch is validated at once; only when something in
it is wrong are the bad rows looked at one by one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError

from freshet.contract import UtcDatetime
from ingestion.lake_schema import RecordType, json_text

BATCH_SIZE = 10_000

# What differs from row to row in a reason: values, moments, and places within a line.
_GOT = re.compile(r" \(got .*?\)(?=; [\w.]+: |$)", re.DOTALL)
_MOMENT_TEXT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?")
_PLACE = re.compile(r": line \d+ column \d+ \(char \d+\)")


class RawRow(NamedTuple):
    """One row of a source: where it stands, as it was written, and in the contract's field names (None: as written)."""

    line: int
    raw: Mapping[str, object]
    record: Mapping[str, object] | None = None
    defect: str | None = None
    """Why the row cannot even be put in the contract's names, such as a field too many."""


@dataclass(frozen=True)
class RawBatch:
    """Some consecutive rows of one kind from one file."""

    record_type: RecordType
    source_file: str
    rows: Sequence[RawRow]
    received_at: datetime | None = None
    """When items and users reached us, where they do not say so themselves; events always do."""


@dataclass(frozen=True)
class Reject:
    """A row that cannot be used, with everything needed to mend it at its source."""

    line: int
    received_at: datetime | None
    reason: str
    raw: str

    @property
    def general_reason(self) -> str:
        """The reason without what only this row has: its values, moments and places."""
        return _PLACE.sub("", _MOMENT_TEXT.sub("…", _GOT.sub("", self.reason)))


@dataclass(frozen=True)
class Landed:
    """A validated batch: every row of it is either a record or a reject."""

    records: Sequence[BaseModel]
    lines: Sequence[int]
    rejects: Sequence[Reject]


_LISTS: dict[RecordType, TypeAdapter[Any]] = {kind: TypeAdapter(list[kind.model]) for kind in RecordType}  # type: ignore[name-defined]
_MOMENT: TypeAdapter[datetime] = TypeAdapter(UtcDatetime)


def in_batches(
    record_type: RecordType, source_file: str, rows: Iterator[RawRow], received_at: datetime | None = None
) -> Iterator[RawBatch]:
    """Cut a stream of rows into batches."""
    while batch := list(islice(rows, BATCH_SIZE)):
        yield RawBatch(record_type, source_file, batch, received_at)


def validate(batch: RawBatch) -> Landed:
    """Judge each row of the batch by the contract."""
    reasons = {index: row.defect for index, row in enumerate(batch.rows) if row.defect is not None}
    whole = [index for index in range(len(batch.rows)) if index not in reasons]
    adapter = _LISTS[batch.record_type]
    try:
        records = adapter.validate_python([_record(batch.rows[index]) for index in whole])
    except ValidationError as error:
        reasons |= {whole[position]: reason for position, reason in _reasons(error).items()}
        whole = [index for index in whole if index not in reasons]
        records = adapter.validate_python([_record(batch.rows[index]) for index in whole])
    lines = [batch.rows[index].line for index in whole]
    return Landed(records, lines, [_reject(batch.rows[index], reason) for index, reason in sorted(reasons.items())])


def _record(row: RawRow) -> Mapping[str, object]:
    return row.raw if row.record is None else row.record


def _reasons(error: ValidationError) -> dict[int, str]:
    """All that is wrong with each bad row, by its position in the list."""
    reasons: dict[int, list[str]] = {}
    for detail in error.errors(include_url=False):
        position, *field = detail["loc"]
        name = ".".join(map(str, field))
        message = detail["msg"].removeprefix("Value error, ")
        got = "" if detail["type"] in ("missing", "value_error") else f" (got {_shortened(detail['input'])})"
        reasons.setdefault(int(position), []).append(f"{name}: {message}{got}" if name else f"{message}{got}")
    return {position: "; ".join(parts) for position, parts in reasons.items()}


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _reject(row: RawRow, reason: str) -> Reject:
    return Reject(row.line, _received_at(_record(row)), reason, json_text(row.raw))


def _received_at(record: Mapping[str, object]) -> datetime | None:
    """A reject is filed under the day it arrived, if at least that much of it is readable."""
    moment = record.get("received_at")
    if moment is None:
        return None
    try:
        return _MOMENT.validate_python(moment)
    except ValidationError:
        return None
