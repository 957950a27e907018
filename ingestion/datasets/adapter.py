"""What a dataset must be able to do to be ingested, and the small things that adapters share."""

import csv
import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ingestion.landing import RawBatch, RawRow
from ingestion.simulator_world import WorldConfig

# The natural key of a row becomes its event_id under this name, the same on every machine and in every rerun.
_NAMESPACE = uuid.UUID("6f1d7a3c-0b52-5e0e-9f57-6d1c52f1f9a4")


class DatasetError(ValueError):
    """A dataset cannot be found or read; the message names it and says what to do."""


class RowError(ValueError):
    """A row cannot be put in the contract's terms; the message becomes the reason of its reject."""


@dataclass(frozen=True)
class DatasetContext:
    """What an adapter may need beyond its name."""

    datasets_dir: Path
    truth_dir: Path
    lake_dir: Path
    simulation: WorldConfig
    movielens_edition: str
    simulation_live_days: int
    """The newest days of the simulated world, which arrive live instead."""


class DatasetAdapter(Protocol):
    """One dataset in the contract's terms. ``ingestion/datasets/__init__.py`` lists them."""

    @property
    def name(self) -> str:
        """Stands as ``source`` on every row, and in file names."""
        ...

    @property
    def world(self) -> str:
        """What lives in a home with this dataset, for people; a home holds one."""
        ...

    @property
    def origin(self) -> str:
        """A sentence that says plainly where the rows come from."""
        ...

    @property
    def licence(self) -> str:
        """A sentence on what may be done with the data."""
        ...

    def fingerprint(self) -> str:
        """Changes whenever ``read`` would give other rows."""
        ...

    def read(self) -> Iterator[RawBatch]:
        """All rows, good and bad, in an order that is always the same, a batch at a time."""
        ...


def natural_id(*key: str) -> str:
    """An event id made from what identifies the row in its source; ties in time are so shuffled reproducibly."""
    text = "\x1f".join(key).encode("utf-8", "surrogateescape")
    digest = hashlib.sha1(_NAMESPACE.bytes + text, usedforsecurity=False).hexdigest()
    # uuid.uuid5 spelled out, in a third of its time.
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def hash_of(parts: Iterator[bytes]) -> str:
    """The sha256 of a stream of bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of an open file, a megabyte at a time."""
    while chunk := file.read(1 << 20):
        yield chunk


def converted(row: RawRow, convert: Callable[[Mapping[str, object], int], Mapping[str, object]]) -> RawRow:
    """The row in the contract's terms; a column that the whole file lacks is an error of the whole dataset."""
    if row.defect is not None:
        return row
    try:
        return RawRow(row.line, row.raw, convert(row.raw, row.line))
    except KeyError as error:
        raise DatasetError(f"the file has no column {error}: is this the original?") from None
    except RowError as error:
        return RawRow(row.line, row.raw, {}, str(error))


def csv_rows(lines: IO[str], name: str) -> Iterator[RawRow]:
    """The rows of a CSV file with a header, each with the line it starts on; ragged rows carry their defect."""
    reader = csv.reader(lines)
    header = next(reader, None)
    if header is None:
        raise DatasetError(f"{name} is empty: the first line should name the columns")
    line = reader.line_num + 1
    try:
        for row in reader:
            if row:
                yield _csv_row(line, header, row)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{name} line {line} is not CSV: {error}") from None


def _csv_row(line: int, header: list[str], row: list[str]) -> RawRow:
    if len(row) == len(header):
        return RawRow(line, dict(zip(header, row, strict=True)))
    raw = {"columns": header, "fields": row}
    return RawRow(line, raw, {}, f"the line has {len(row)} fields, the header {len(header)}")
