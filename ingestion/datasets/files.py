"""Your own data: Parquet, CSV or JSONL, in the contract's column names or with a mapping from yours.

What may be left out: ``received_at`` (then it is when the event happened), ``event_id`` (then it is made from the row,
so that equal rows count once), the times of items (``known_items.py`` says what they are then), and items altogether
(then every item that events name, and that nobody has described, is its own title). In CSV, lists are JSON or
``a|b``, and objects are JSON.

All your own files are one world: a second month, a corrected file or a new catalogue adds to the same home.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from freshet.contract import UtcDatetime
from ingestion.datasets.adapter import DatasetError, chunks, converted, hash_of, natural_id
from ingestion.datasets.file_formats import FORMATS, SUFFIXES, columns_of, format_of, rows_of
from ingestion.datasets.known_items import KnownItems
from ingestion.datasets.mapping import FileMapping, RecordReader, nearest, read_mapping
from ingestion.lake_schema import RecordType, contract_schema
from ingestion.landing import RawBatch, RawRow, in_batches

ADAPTER_VERSION = "2"
NAME = "files"
MAPPING = "mapping.yaml"

_MAY_BE_MISSING = {
    RecordType.EVENT: set(contract_schema(RecordType.EVENT.model).names) - {"event_type", "user_id", "occurred_at"},
    RecordType.ITEM: set(contract_schema(RecordType.ITEM.model).names) - {"item_id", "title"},
    RecordType.USER: {"attributes", "created_at"},
}
_LISTS = ("categories", "tags")
_OBJECTS = ("properties", "attributes")
_IDS = ("event_id", "user_id", "item_id", "session_id", "recommendation_id")
_MOMENT: TypeAdapter[datetime] = TypeAdapter(UtcDatetime)


def open_folder(path: Path, lake: Path) -> "OwnFiles":
    """The files at ``path``: a folder with ``events.*`` and perhaps others and a mapping, or one file of events."""
    path = path.resolve()
    if not path.is_dir():
        found = {RecordType.EVENT: [path]} if format_of(path) else {}
    else:
        found = {kind: [file] for kind in RecordType if (file := _named(path, kind.folder)) is not None}
    if RecordType.EVENT not in found:
        names = ", ".join(f"events.{name}" for name in FORMATS)
        raise DatasetError(f"{path} holds no events: give a folder with one of {names}, or such a file itself")
    mapping = path / MAPPING
    return OwnFiles(found, read_mapping(mapping) if mapping.is_file() else None, lake)


def open_files(given: Mapping[RecordType, str], mapping: Path | None, lake: Path) -> "OwnFiles":
    """The files that each option names: one file, all files of a folder, or those that a pattern matches."""
    found = {kind: _listed(text) for kind, text in given.items()}
    return OwnFiles(found, read_mapping(mapping) if mapping else None, lake)


class OwnFiles:
    """The adapter of somebody's own files."""

    name = NAME
    world = "your own files"
    licence = "your own data, your own terms"

    def __init__(self, found: Mapping[RecordType, Sequence[Path]], mapping: FileMapping | None, lake: Path) -> None:
        """``found`` names the files of each kind of record. Raises DatasetError when a header cannot be right."""
        self._found, self._mapping, self._lake = found, mapping, lake
        self.origin = f"read {', '.join(str(file) for files in found.values() for file in files)}"
        self._first_event_at: datetime | None = None
        self._first_lines: dict[str, tuple[str, int]] = {}
        for kind, files in found.items():
            for file in files:
                _check_columns(file, kind, columns_of(file), self._reader(kind))

    def fingerprint(self) -> str:
        """The content of the files, and of the mapping."""
        return hash_of(self._content())

    def read(self) -> Iterator[RawBatch]:
        """Events first: they say when the catalogue begins, and what is in it where no file does."""
        self._first_event_at, self._first_lines = None, {}
        for file in self._found.get(RecordType.EVENT, ()):
            rows = (self._event(row, file.name) for row in self._rows(file, RecordType.EVENT))
            yield from in_batches(RecordType.EVENT, file.name, rows)
        known = KnownItems(self._lake)
        since = self._first_event_at or known.newest_event_at  # None when neither has any event
        for file in self._found.get(RecordType.ITEM, ()):
            rows = (_timed(row, known, since) for row in self._rows(file, RecordType.ITEM))
            yield from in_batches(RecordType.ITEM, file.name, rows)
        if RecordType.ITEM not in self._found:
            yield from self._undescribed(known)
        for file in self._found.get(RecordType.USER, ()):
            yield from in_batches(
                RecordType.USER, file.name, self._rows(file, RecordType.USER), known.newest_event_at or since
            )

    def _content(self) -> Iterator[bytes]:
        yield f"{ADAPTER_VERSION} {self._mapping.model_dump_json() if self._mapping else ''}".encode()
        for kind, files in self._found.items():
            for path in files:
                yield f" {kind} {path.name} ".encode()
                with path.open("rb") as file:
                    yield from chunks(file)

    def _reader(self, kind: RecordType) -> RecordReader | None:
        return RecordReader(self._mapping.of(kind), kind) if self._mapping else None

    def _rows(self, file: Path, kind: RecordType) -> Iterator[RawRow]:
        """The rows of one file, records in the contract's names and types as far as the format does not carry them."""
        reader, is_text = self._reader(kind), format_of(file) == "csv"
        separator = self._mapping.of(kind).separator if self._mapping else "|"
        is_json = format_of(file) == "jsonl"

        def record(raw: Mapping[str, object], _: int) -> Mapping[str, object]:
            named = raw if reader is None else reader.record(raw)
            return _plain(named, is_text=is_text, is_json=is_json, separator=separator)

        return (converted(row, record) for row in rows_of(file))

    def _event(self, row: RawRow, file: str) -> RawRow:
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
            self._first_lines.setdefault(str(event["item_id"]), (file, row.line))
        return row._replace(record=event)

    def _undescribed(self, known: KnownItems) -> Iterator[RawBatch]:
        """An item that nobody has described is called by its id."""
        since = self._first_event_at
        for file in dict.fromkeys(name for name, _ in self._first_lines.values()):
            rows = (
                RawRow(line, {"item_id": item_id, "title": item_id, "available_from": since, "updated_at": since})
                for item_id, (name, line) in self._first_lines.items()
                if name == file and item_id not in known
            )
            yield from in_batches(RecordType.ITEM, file, rows)


def _timed(row: RawRow, known: KnownItems, first_event_at: datetime | None) -> RawRow:
    if row.record is None or row.defect is not None or row.record.get("updated_at") is not None:
        return row
    since = None if first_event_at is None else known.since(row.record, first_event_at)
    return row._replace(record={**row.record, "updated_at": since})


def _named(folder: Path, stem: str) -> Path | None:
    files = [folder / f"{stem}{suffix}" for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()]
    if len(files) > 1:
        raise DatasetError(f"{folder} has both {files[0].name} and {files[1].name}: keep one of them")
    return files[0] if files else None


def _listed(text: str) -> list[Path]:
    """The files that somebody meant, all of one format."""
    path = Path(text).expanduser()
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if format_of(file) and not file.name.startswith(".")]
    else:
        files = [path] if path.is_file() else sorted(path.parent.glob(path.name))
    if not files:
        raise DatasetError(f"{text} is no file, no folder with {', '.join(SUFFIXES)} and no pattern of such files")
    formats = {format_of(file) for file in files}
    if None in formats or len(formats) > 1:
        raise DatasetError(f"{text} is not of one format: all files should end in one of {', '.join(SUFFIXES)}")
    return [file.resolve() for file in files]


def _check_columns(file: Path, kind: RecordType, columns: list[str] | None, reader: RecordReader | None) -> None:
    """A wrong header would make every row wrong: say so once."""
    if columns is None:
        return
    known = contract_schema(kind.model).names
    if reader is not None:
        for name in reader.missing_columns(columns):
            raise DatasetError(f"{file} has no column {name!r}, which the mapping names: {nearest(name, columns)}")
    else:
        for name in columns:
            if name not in known:
                hint = nearest(name, known)
                raise DatasetError(
                    f"{file} has a column {name!r} that no {kind} has: {hint} (--mapping says what other columns mean)"
                )
    provided = columns if reader is None else reader.provides(columns)
    for name in known:
        if name not in provided and name not in _MAY_BE_MISSING[kind]:
            raise DatasetError(f"{file} has no column {name!r}, which every {kind} needs; it has {', '.join(columns)}")


def _plain(raw: Mapping[str, object], *, is_text: bool, is_json: bool, separator: str) -> dict[str, object]:
    """Nothing is None, not empty text; ids are text even where they are written as whole numbers."""
    record = {name: value for name, value in raw.items() if value is not None}
    if is_text:
        record = {name: value for name, value in record.items() if value != ""}
    for name in _LISTS:
        if isinstance(record.get(name), str):
            record[name] = _list(str(record[name]), separator)
    for name in _OBJECTS:
        if isinstance(record.get(name), str) and not is_json:
            record[name] = _json(str(record[name]))
    for name in _IDS:
        if type(record.get(name)) is int:
            record[name] = str(record[name])
    return record


def _list(text: str, separator: str) -> object:
    if text.startswith("["):
        return _json(text)
    return [part.strip() for part in text.split(separator) if part.strip()]


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
