"""What dbt promises about its marts, as Feast fields: columns are named, typed and described in dbt's YAML alone.

The contracts are enforced by dbt at every build, so a field cannot differ from the column that it is read from.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from feast import Field
from feast.types import Array, Bool, FeastType, Float64, Int32, Int64, String, UnixTimestamp

MODELS = Path(__file__).resolve().parents[1] / "dbt" / "models"

KNOWN_AT = "event_timestamp"

TYPES: dict[str, FeastType] = {
    "varchar": String,
    "boolean": Bool,
    "integer": Int32,
    "bigint": Int64,
    "double": Float64,
    "timestamptz": UnixTimestamp,
}


def fields_of(mart: str, day: str | None = None) -> list[Field]:
    """Every column of a mart, but for those that say when: its ``day``, where there is a row for each, and the moment.

    The entity's column is among them. Feast sets it apart, and need not look it up in an export that may not be there.
    """
    columns = {column["name"]: column for column in _mart(mart)["columns"]}
    times = {KNOWN_AT} if day is None else {KNOWN_AT, day}
    if missing := times - set(columns):
        raise ValueError(f"{mart} has no column {', '.join(sorted(missing))}: look at its contract in {MODELS}")
    return [
        Field(name=name, dtype=feast_type(mart, name, column["data_type"]), description=_text(column["description"]))
        for name, column in columns.items()
        if name not in times
    ]


def description_of(mart: str) -> str:
    """What dbt says about the mart as a whole, its grain first."""
    return _text(_mart(mart)["description"])


def feast_type(mart: str, column: str, data_type: str) -> FeastType:
    """Feast's name of a type of the warehouse."""
    inner = TYPES.get(data_type.removesuffix("[]"))
    if inner is None:
        raise ValueError(f"{mart}.{column} is {data_type}, which has no counterpart in Feast: known are {[*TYPES]}")
    return Array(inner) if data_type.endswith("[]") else inner


def _mart(name: str) -> dict[str, Any]:
    if name not in _marts():
        raise ValueError(f"no mart is called {name}: the contracts in {MODELS / 'marts'} name {sorted(_marts())}")
    return _marts()[name]


@cache
def _marts() -> dict[str, dict[str, Any]]:
    files = [yaml.safe_load(path.read_text()) for path in sorted((MODELS / "marts").glob("*.yml"))]
    return {model["name"]: model for file in files for model in file.get("models", [])}


@cache
def _doc_blocks() -> dict[str, str]:
    text = "\n".join(path.read_text() for path in sorted(MODELS.rglob("*.md")))
    return dict(re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", text, flags=re.DOTALL))


def _text(description: str) -> str:
    """In one line, with dbt's shared wording in its place."""
    filled = re.sub(r"""{{ *doc\(["'](\w+)["']\) *}}""", lambda block: _doc_blocks()[block[1]], description)
    return " ".join(filled.split())
