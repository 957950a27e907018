"""Parquet files by day of arrival: the same rows give the same bytes, and a file is there whole or not at all."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_FILE = 200_000
SMALL_FILE_ROWS = 2_000
"""Up to here a file is mostly metadata: plain pages are read twice as fast as dictionaries, and cost nothing."""

EPOCH = date(1970, 1, 1)


def write_table(table: pa.Table, path: Path) -> None:
    """Write one Parquet file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    _write(table, unfinished)
    unfinished.replace(path)


def write_days(batches: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path, name: str) -> int:
    """Write batches ordered by day of arrival as ``received_date=…/<name>-<part>.parquet``; returns the rows written.

    ``folder`` is a staging folder: the files become visible when they are moved out of it.
    """
    n_rows = 0
    for day, part, table in _files(batches, schema):
        path = folder / f"received_date={EPOCH + timedelta(days=day)}" / f"{name}-{part:04d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(table, path)
        n_rows += table.num_rows
    return n_rows


def _write(table: pa.Table, path: Path) -> None:
    is_small = table.num_rows <= SMALL_FILE_ROWS
    compression = "snappy" if is_small else "zstd"
    pq.write_table(table, path, compression=compression, use_dictionary=not is_small, store_schema=False)


def _files(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[tuple[int, int, pa.Table]]:
    """(day, part, rows) of each file; cut at fixed sizes, so that the incoming batches leave no trace in them."""
    current, part, pending = None, 0, schema.empty_table()
    for day, rows in _runs(batches, schema):
        if day != current:
            if pending.num_rows:
                yield current, part, pending  # type: ignore[misc]
            current, part, pending = day, 0, schema.empty_table()
        pending = pa.concat_tables([pending, rows])
        while pending.num_rows > ROWS_PER_FILE:
            yield day, part, pending.slice(0, ROWS_PER_FILE).combine_chunks()
            part, pending = part + 1, pending.slice(ROWS_PER_FILE)
    if current is not None and pending.num_rows:
        yield current, part, pending.combine_chunks()


def _runs(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[tuple[int, pa.Table]]:
    """Consecutive rows of one day, with that day counted from 1970."""
    for batch in batches:
        table = pa.Table.from_batches([batch]).cast(schema)
        days = table["received_at"].cast(pa.date32()).cast(pa.int32()).to_numpy()
        starts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
        for start, end in pairwise(starts):
            if end > start:
                yield int(days[start]), table.slice(start, end - start)
