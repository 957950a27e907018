"""Your own data: Parquet, CSV or JSONL in the contract's column names.

A folder with ``events.*``, and optionally ``items.*`` and ``users.*``; or one file of events. What may be left out:
``received_at`` (then it is when the event happened), ``event_id`` (then it is made from the row, so that equal rows
count once), and items (then every item that events name is its own title). In CSV, lists are JSON or ``a|b``, and
objects are JSON.
"""

import csv
import difflib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from freshet.contract import UtcDatetime
from ingestion.datasets.adapter import DatasetError, chunks, csv_rows, hash_of, natural_id
from ingestion.lake_schema import RecordType, contract_schema
from ingestion.landing import BATCH_SIZE, RawBatch, RawRow, in_batches

ADAPTER_VERSION = "1"
NAME = "files"
SUFFIXES = (".parquet", ".csv", ".jsonl")

_MAY_BE_MISSING = {
    RecordType.EVENT: set(contract_schema(RecordType.EVENT.model).names) - {"event_type", "user_id", "occurred_at"},
    RecordType.ITEM: set(contract_schema(RecordType.ITEM.model).names) - {"item_id", "title"},
    RecordType.USER: {"attributes", "created_at"},
}
_LISTS = ("categories", "tags")
_OBJECTS = ("properties", "attributes")
_IDS = ("event_id", "user_id", "item_id", "session_id", "recommendation_id")
_MOMENT: TypeAdapter[datetime] = TypeAdapter(UtcDatetime)


def open_dataset(path: Path) -> "NeutralFiles":
    """The files at ``path``. Raises DatasetError when there are no events among them."""
    path = path.resolve()
    if path.is_dir():
        found = {kind: file for kind in RecordType if (file := _named(path, kind.folder)) is not None}
    else:
        found = {RecordType.EVENT: path} if path.suffix in SUFFIXES else {}
    if RecordType.EVENT not in found:
        names = ", ".join(f"events{suffix}" for suffix in SUFFIXES)
        raise DatasetError(f"{path} holds no events: give a folder with one of {names}, or such a file itself")
    return NeutralFiles(path, found)


class NeutralFiles:
    """The adapter of files that already speak the contract's language."""

    name = NAME
    licence = "your own data, your own terms"

    def __init__(self, path: Path, found: Mapping[RecordType, Path]) -> None:
        """``found`` names the file of each kind of record; events are always there."""
        self.path, self._found = path, found
        self.world = f"the files at {path}"
        self.origin = f"read {', '.join(file.name for file in found.values())} at {path}"
        self._first_event_at: datetime | None = None
        self._first_lines: dict[str, int] = {}

    def fingerprint(self) -> str:
        """The content of the files."""
        return hash_of(part for kind, file in self._found.items() for part in _content(kind, file))

    def read(self) -> Iterator[RawBatch]:
        """Events first: they say when the catalogue begins, and what is in it where no file does."""
        self._first_event_at, self._first_lines = None, {}
        events = self._found[RecordType.EVENT]
        yield from in_batches(RecordType.EVENT, events.name, map(self._event, _rows(events, RecordType.EVENT)))
        items, users = self._found.get(RecordType.ITEM), self._found.get(RecordType.USER)
        if items is None:
            yield from in_batches(RecordType.ITEM, events.name, self._derived_items())
        else:
            yield from in_batches(RecordType.ITEM, items.name, map(self._item, _rows(items, RecordType.ITEM)))
        if users is not None:
            yield from in_batches(RecordType.USER, users.name, _rows(users, RecordType.USER), self._first_event_at)

    def _event(self, row: RawRow) -> RawRow:
        if row.record is None or row.defect is not None:
            return row
        event = dict(row.record)
        occurred_at = event["occurred_at"] = _moment(event.get("occurred_at"))
        if event.get("received_at") is None:
            event["received_at"] = occurred_at
        if event.get("event_id") is None:
            event["event_id"] = natural_id(NAME, *(f"{name}={value}" for name, value in sorted(event.items())))
        if isinstance(occurred_at, datetime) and (self._first_event_at is None or occurred_at < self._first_event_at):
            self._first_event_at = occurred_at
        if isinstance(event.get("item_id"), str) and RecordType.ITEM not in self._found:
            self._first_lines.setdefault(str(event["item_id"]), row.line)
        return row._replace(record=event)

    def _item(self, row: RawRow) -> RawRow:
        """Without a time of its own an item is as old as the first event, never younger."""
        if row.record is None or row.record.get("updated_at") is not None:
            return row
        return row._replace(record={**row.record, "updated_at": self._first_event_at})

    def _derived_items(self) -> Iterator[RawRow]:
        since = self._first_event_at
        for item_id, line in self._first_lines.items():
            yield RawRow(line, {"item_id": item_id, "title": item_id, "available_from": since, "updated_at": since})


def _named(folder: Path, stem: str) -> Path | None:
    files = [folder / f"{stem}{suffix}" for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()]
    if len(files) > 1:
        raise DatasetError(f"{folder} has both {files[0].name} and {files[1].name}: keep one of them")
    return files[0] if files else None


def _content(kind: RecordType, file: Path) -> Iterator[bytes]:
    yield f"{ADAPTER_VERSION} {kind} {file.suffix} ".encode()
    with file.open("rb") as opened:
        yield from chunks(opened)


def _rows(file: Path, kind: RecordType) -> Iterator[RawRow]:
    """The rows of one file, records in the contract's names and types as far as the format does not carry them."""
    rows = {".parquet": _parquet_rows, ".csv": _csv_rows, ".jsonl": _jsonl_rows}[file.suffix](file, kind)
    return (row if row.defect is not None else row._replace(record=_plain(row.raw, file.suffix)) for row in rows)


def _parquet_rows(file: Path, kind: RecordType) -> Iterator[RawRow]:
    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetError(f"{file} is not a Parquet file: {error}") from None
    _check_columns(file, kind, parquet.schema_arrow.names)
    line = 0
    for batch in parquet.iter_batches(BATCH_SIZE):
        for raw in batch.to_pylist():
            line += 1
            yield RawRow(line, raw)


def _csv_rows(file: Path, kind: RecordType) -> Iterator[RawRow]:
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        _check_columns(file, kind, next(csv.reader(lines), []))
        lines.seek(0)
        yield from csv_rows(lines, str(file))


def _jsonl_rows(file: Path, kind: RecordType) -> Iterator[RawRow]:
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for line, text in enumerate(lines, start=1):
            if text.strip():
                yield _json_row(line, text)


def _json_row(line: int, text: str) -> RawRow:
    try:
        raw = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return RawRow(line, {"line": text.rstrip("\n")}, {}, f"the line is not JSON: {error}")
    if not isinstance(raw, dict):
        return RawRow(line, {"line": text.rstrip("\n")}, {}, "the line is not a JSON object")
    return RawRow(line, raw)


def _check_columns(file: Path, kind: RecordType, columns: list[str]) -> None:
    """A wrong header would make every row wrong: say so once."""
    known = contract_schema(kind.model).names
    for name in columns:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {close[0]}?"
                if close
                else f"known are {', '.join(known)}; other values go into an object"
            )
            raise DatasetError(f"{file} has a column {name!r} that no {kind} has: {hint}")
    for name in known:
        if name not in columns and name not in _MAY_BE_MISSING[kind]:
            raise DatasetError(f"{file} has no column {name!r}, which every {kind} needs; it has {', '.join(columns)}")


def _plain(raw: Mapping[str, object], suffix: str) -> dict[str, object]:
    """Nothing is None, not empty text; ids are text even where they are written as whole numbers."""
    record = {name: value for name, value in raw.items() if value is not None}
    if suffix == ".csv":
        record = {name: value for name, value in record.items() if value != ""}
        record |= {name: _list(str(record[name])) for name in _LISTS if name in record}
    for name in _OBJECTS:
        if isinstance(record.get(name), str) and suffix != ".jsonl":
            record[name] = _json(str(record[name]))
    for name in _IDS:
        if type(record.get(name)) is int:
            record[name] = str(record[name])
    return record


def _list(text: str) -> object:
    return _json(text) if text.startswith("[") else text.split("|")


def _json(text: str) -> object:
    """Left as text when it is no JSON: the contract says so then."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text


def _moment(value: object) -> object:
    """Left as it is when it is no moment: the contract says so then."""
    try:
        return _MOMENT.validate_python(value)
    except ValidationError:
        return value
