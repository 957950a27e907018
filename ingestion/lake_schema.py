"""The contract's classes as Parquet columns: one definition of a record, whatever it is written as.

Objects (``properties``, ``attributes``) become JSON text with sorted keys, so that equal objects are equal bytes.
"""

import json
import types
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any, Union, get_args, get_origin

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel

from freshet.contract import Event, Item, User

TIMESTAMP = pa.timestamp("us", tz="UTC")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


class RecordType(StrEnum):
    """What a row of a source is meant to be."""

    EVENT = "event"
    ITEM = "item"
    USER = "user"

    @property
    def model(self) -> type[BaseModel]:
        """The contract's class for such a record."""
        return MODELS[self]

    @property
    def folder(self) -> str:
        """The lake's folder for such records."""
        return f"{self}s"


MODELS: dict[RecordType, type[BaseModel]] = {RecordType.EVENT: Event, RecordType.ITEM: Item, RecordType.USER: User}

_ARROW_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: TIMESTAMP,
    AwareDatetime: TIMESTAMP,
    dict: pa.string(),
}


def contract_schema(model: type[BaseModel]) -> pa.Schema:
    """The contract's fields, in the contract's order, as Arrow columns."""
    return pa.schema([(name, _arrow_type(field.annotation)) for name, field in model.model_fields.items()])


INGESTION_ID = pa.field("ingestion_id", pa.string())
"""Which ingestion brought a row: by it the marts tell what they have not processed yet."""


def lake_schema(record_type: RecordType) -> pa.Schema:
    """The columns of a lake folder: what is staged, and the ingestion that brought the row."""
    return staged_schema(record_type).append(INGESTION_ID)


def staged_schema(record_type: RecordType) -> pa.Schema:
    """The contract's fields, when we knew, and the place each row came from."""
    schema = contract_schema(record_type.model)
    if "received_at" not in schema.names:
        schema = schema.append(pa.field("received_at", TIMESTAMP))
    for name, arrow_type in (("source", pa.string()), ("source_file", pa.string()), ("source_line", pa.int64())):
        schema = schema.append(pa.field(name, arrow_type))
    return schema


STAGED_REJECTS_SCHEMA = pa.schema(
    [
        ("received_at", TIMESTAMP),
        ("source", pa.string()),
        ("source_file", pa.string()),
        ("source_line", pa.int64()),
        ("record_type", pa.string()),
        ("reason", pa.string()),
        ("general_reason", pa.string()),
        ("raw", pa.string()),
    ]
)

REJECTS_SCHEMA = STAGED_REJECTS_SCHEMA.append(INGESTION_ID)

LEDGER_SCHEMA = pa.schema(
    [
        ("ingestion_id", pa.string()),
        ("source", pa.string()),
        ("record_type", pa.string()),
        ("interval_start", TIMESTAMP),
        ("interval_end", TIMESTAMP),
        ("n_landed", pa.int64()),
        ("n_accepted", pa.int64()),
        ("n_duplicate", pa.int64()),
        ("n_rejected", pa.int64()),
        ("completed_at", TIMESTAMP),
    ]
)


def records_to_columns(model: type[BaseModel], records: Sequence[BaseModel]) -> dict[str, pa.Array]:
    """The records' fields as Arrow arrays, named and ordered as in the contract."""
    names, schema = list(model.model_fields), contract_schema(model)
    values = zip(*map(attrgetter(*names), records), strict=True) if records else iter([()] * len(names))
    return {
        name: pa.array(map(_object_text, column) if _is_object(model, name) else column, schema.field(name).type)
        for name, column in zip(names, values, strict=True)
    }


def json_text(value: object) -> str:
    """The one spelling of an object as JSON. Half a surrogate pair, which UTF-8 cannot hold, stays an escape."""
    text = _ENCODER.encode(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _is_object(model: type[BaseModel], name: str) -> bool:
    return _plain_type(model.model_fields[name].annotation) is dict


def _object_text(value: object) -> str:
    return json_text(value) if value else "{}"


def _arrow_type(annotation: Any) -> pa.DataType:
    plain = _plain_type(annotation)
    if plain is list:
        return pa.list_(pa.string())
    return _ARROW_TYPES[str if issubclass(plain, StrEnum) else plain]


def _plain_type(annotation: Any) -> Any:
    """``Annotated[str, …] | None`` is a str: the type beneath optionality and constraints."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain_type(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _plain_type(next(part for part in get_args(annotation) if part is not types.NoneType))
    return origin or annotation
