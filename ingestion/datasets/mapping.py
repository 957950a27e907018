"""A small YAML file that says how somebody's columns become the contract's fields.

    events:
      columns: {user_id: customer, item_id: sku, occurred_at: sold_at, value: pieces}
      constants: {event_type: purchase}
      timezone: Europe/London
      id_from: [receipt, line]
      rest: properties

Everything in it is checked before a row is read, so that a slip of the pen is one sentence and not a million rejects.
"""

import difflib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml  # type: ignore[import-untyped]
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from ingestion.datasets.adapter import DatasetError, RowError, natural_id
from ingestion.lake_schema import TIMESTAMP, RecordType, contract_schema

_MOMENT: TypeAdapter[datetime] = TypeAdapter(datetime)
_REST = {RecordType.EVENT: "properties", RecordType.ITEM: "attributes", RecordType.USER: "attributes"}


class RecordMapping(BaseModel):
    """How one kind of record is read. A column that already has a field's name needs no line."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, coerce_numbers_to_str=True)

    columns: dict[str, str] = Field(default_factory=dict)
    """Field of the contract: the column it is taken from; ``customer.id`` is the id within the object customer."""

    constants: dict[str, JsonValue] = Field(default_factory=dict)
    """Field of the contract: the same value in every row."""

    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Field of the contract: their words and ours, such as {event_type: {buy: purchase}}; other words stay."""

    timezone: str | None = None
    """Where the clock hung that wrote times without a zone, such as Europe/London."""

    time_format: str | None = None
    """How times are written, in the letters of Python's strptime; without it, ISO 8601."""

    epoch: Literal["seconds", "milliseconds"] | None = None
    """Times are numbers, counted since 1970."""

    id_from: tuple[str, ...] = ()
    """Columns that identify an event in its source: its event_id is made from them."""

    separator: str = Field(default="|", min_length=1)
    """What stands between the entries of a list in one field."""

    rest: Literal["properties", "attributes"] | None = None
    """The object that takes the columns which nothing else names; without it they are left out."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"{name!r} is no time zone: give one like UTC or Europe/London") from None
        return name

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if self.epoch is not None and self.time_format is not None:
            raise ValueError("epoch and time_format exclude each other: times are numbers or texts")
        return self


class FileMapping(BaseModel):
    """The whole file: one section for each kind of record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: RecordMapping = RecordMapping()
    items: RecordMapping = RecordMapping()
    users: RecordMapping = RecordMapping()

    def of(self, kind: RecordType) -> RecordMapping:
        """The section about records of that kind."""
        section: RecordMapping = getattr(self, kind.folder)
        return section


def read_mapping(path: Path) -> FileMapping:
    """The mapping at ``path``. Raises DatasetError naming the key that is wrong and the nearest that would be right."""
    try:
        content = _load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DatasetError(f"the mapping {path} cannot be read: {' '.join(str(error).split())}") from None
    try:
        mapping = FileMapping.model_validate({} if content is None else content)
    except ValidationError as error:
        raise DatasetError(f"the mapping {path}: {_first_problem(error)}") from None
    for kind in RecordType:
        _check_fields(mapping.of(kind), kind, path)
    return mapping


class RecordReader:
    """Turns a row's own columns into the contract's fields, as a mapping says."""

    def __init__(self, mapping: RecordMapping, kind: RecordType) -> None:
        """``mapping`` has been checked by ``read_mapping``."""
        schema = contract_schema(kind.model)
        self._mapping, self._fields = mapping, schema.names
        self._times = {name for name in schema.names if schema.field(name).type == TIMESTAMP}
        self._zone = ZoneInfo(mapping.timezone) if mapping.timezone else None
        self._taken = {*mapping.columns.values(), *mapping.id_from}
        self._taken |= {name.partition(".")[0] for name in self._taken}

    def record(self, raw: Mapping[str, object]) -> dict[str, object]:
        """The row in the contract's names. Raises RowError for a time or an id that cannot be made."""
        mapping = self._mapping
        record = {name: raw[name] for name in self._fields if name in raw and name not in self._taken}
        record |= {name: _at(raw, column) for name, column in mapping.columns.items()}
        record |= mapping.constants
        for name, words in mapping.values.items():
            if name in record:
                record[name] = words.get(_word(record[name]), record[name])
        for name in self._times & record.keys():
            record[name] = self._moment(name, record[name])
        if mapping.id_from:
            record["event_id"] = natural_id("files", *(self._identity(raw, column) for column in mapping.id_from))
        if mapping.rest is not None:
            record[mapping.rest] = {**_object(record.get(mapping.rest)), **self._rest(raw)}
        return record

    def missing_columns(self, columns: Collection[str]) -> list[str]:
        """Columns that the mapping names and the file lacks."""
        named = (*self._mapping.columns.values(), *self._mapping.id_from)
        return [name for name in named if name not in columns and name.partition(".")[0] not in columns]

    def provides(self, columns: Collection[str]) -> set[str]:
        """The fields that a file with these columns fills."""
        own = {name for name in columns if name not in self._taken}
        made = {"event_id"} if self._mapping.id_from else set()
        return own | set(self._mapping.columns) | set(self._mapping.constants) | made

    def _rest(self, raw: Mapping[str, object]) -> dict[str, object]:
        return {
            name: value
            for name, value in raw.items()
            if name not in self._taken and name not in self._fields and value not in (None, "")
        }

    def _identity(self, raw: Mapping[str, object], column: str) -> str:
        value = _at(raw, column)
        if value is None or value == "":
            raise RowError(f"event_id: the column {column!r}, which it is made from, is empty")
        return f"{column}={value}"

    def _moment(self, name: str, value: object) -> object:
        if value is None or value == "":
            return None
        moment = self._parsed(name, value)
        if isinstance(moment, datetime) and moment.tzinfo is None and self._zone is not None:
            return moment.replace(tzinfo=self._zone)
        return moment

    def _parsed(self, name: str, value: object) -> object:
        mapping = self._mapping
        try:
            if mapping.epoch is not None:
                return _since_1970(float(str(value)), 1000 if mapping.epoch == "milliseconds" else 1)
            if isinstance(value, str):
                return _read_time(value, mapping.time_format)
        except (ValueError, OverflowError, OSError):
            wanted = f"{mapping.epoch} since 1970" if mapping.epoch else mapping.time_format or "ISO 8601"
            raise RowError(f"{name}: not a time as {wanted} (got {value!r})") from None
        return value


def _load(text: str) -> object:
    """YAML takes 1, yes and 2025 for something else than words; under ``values`` they are words as in the files."""
    content = yaml.safe_load(text)
    if isinstance(content, dict):
        as_written = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 (makes texts of everything, and no objects)
        for section, keys in content.items():
            if isinstance(keys, dict) and "values" in keys:
                keys["values"] = as_written[str(section)]["values"]
    return content


@lru_cache(maxsize=4096)
def _read_time(text: str, time_format: str | None) -> datetime:
    if time_format is None:
        return _MOMENT.validate_python(text)
    return datetime.strptime(text.strip(), time_format)  # noqa: DTZ007 (the mapping's zone is added by the caller)


def _since_1970(number: float, parts: int) -> datetime:
    # Whole seconds and the rest apart: a float of both has no room for microseconds.
    whole, rest = divmod(number, parts)
    return datetime.fromtimestamp(int(whole), UTC).replace(microsecond=int(rest * 1_000_000 / parts))


def _at(raw: Mapping[str, object], column: str) -> object:
    """The value of a column, or of a place within an object."""
    if column in raw or "." not in column:
        return raw.get(column)
    first, _, rest = column.partition(".")
    within = raw.get(first)
    return _at(within, rest) if isinstance(within, Mapping) else None


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def nearest(name: str, known: Collection[str]) -> str:
    """A hint at the name that was probably meant."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _first_problem(error: ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    where = ".".join(map(str, detail["loc"])) or "the whole"
    if detail["type"] == "extra_forbidden":
        known = FileMapping.model_fields if len(detail["loc"]) == 1 else RecordMapping.model_fields
        return f"{where} is no key of a mapping: {nearest(str(detail['loc'][-1]), list(known))}"
    return f"{where}: {detail['msg'].removeprefix('Value error, ')} (got {detail['input']!r})"


def _check_fields(mapping: RecordMapping, kind: RecordType, path: Path) -> None:
    known = contract_schema(kind.model).names
    for key in ("columns", "constants", "values"):
        for name in getattr(mapping, key):
            if name not in known:
                raise DatasetError(
                    f"the mapping {path}: {kind.folder}.{key}.{name} is no field of an {kind}: {nearest(name, known)}"
                )
    if mapping.rest not in (None, _REST[kind]):
        raise DatasetError(f"the mapping {path}: {kind.folder}.rest can only be {_REST[kind]}")
    if mapping.id_from and kind is not RecordType.EVENT:
        raise DatasetError(f"the mapping {path}: {kind.folder}.id_from is for events alone: map {kind}_id to a column")
