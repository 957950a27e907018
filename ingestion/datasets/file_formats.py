"""Rows of Parquet, CSV and JSONL files, with the line each stands on, in the names that the files use."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.datasets.adapter import DatasetError, csv_rows
from ingestion.landing import BATCH_SIZE, RawRow

FORMATS = ("parquet", "csv", "jsonl")
SUFFIXES = (".parquet", ".csv", ".jsonl", ".csv.gz", ".jsonl.gz")


def format_of(file: Path) -> str | None:
    """How the file is written, by the end of its name; None for a name that says nothing."""
    name = file.name.removesuffix(".gz")
    found = next((kind for kind in FORMATS if name.endswith(f".{kind}")), None)
    return None if found == "parquet" and name != file.name else found


def columns_of(file: Path) -> list[str] | None:
    """The names of the columns, where the file has them in one place; JSONL has not."""
    match format_of(file):
        case "parquet":
            return list(_parquet(file).schema_arrow.names)
        case "csv":
            with _lines(file) as lines:
                return next(csv.reader(lines), [])
    return None


def rows_of(file: Path) -> Iterator[RawRow]:
    """All rows. Raises DatasetError when the file is no such file."""
    match format_of(file):
        case "parquet":
            return _parquet_rows(file)
        case "csv":
            return _csv_rows(file)
    return json_rows(file)


def _parquet(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetError(f"{file} is not a Parquet file: {error}") from None


def _parquet_rows(file: Path) -> Iterator[RawRow]:
    line = 0
    for batch in _parquet(file).iter_batches(BATCH_SIZE):
        for raw in batch.to_pylist():
            line += 1
            yield RawRow(line, raw)


def _csv_rows(file: Path) -> Iterator[RawRow]:
    with _lines(file) as lines:
        yield from csv_rows(lines, str(file))


def json_rows(file: Path) -> Iterator[RawRow]:
    """One object a line; what is none carries its defect."""
    with _lines(file) as lines:
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


@contextmanager
def _lines(file: Path) -> Iterator[IO[str]]:
    try:
        with opened(file) as raw, TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="") as lines:
            yield lines
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise DatasetError(f"{file} is not a whole gzip file") from None


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where its name says that it is packed."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
