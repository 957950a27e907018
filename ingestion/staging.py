"""Where an ingestion prepares its files: rows land in any order, and come out once, in order, by day.

DuckDB finds the duplicates and sorts, spilling to disk, so an ingestion may be much larger than memory.
"""

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from ingestion.day_files import write_days
from ingestion.lake_schema import (
    REJECTS_SCHEMA,
    STAGED_REJECTS_SCHEMA,
    TIMESTAMP,
    RecordType,
    contract_schema,
    lake_schema,
    records_to_columns,
    staged_schema,
)
from ingestion.landing import RawBatch, Reject, validate

MEMORY_LIMIT = "1GB"
STREAM_ROWS = 50_000
POSITION = pa.field("position", pa.int64())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ORDER = {
    RecordType.EVENT: "occurred_at, event_id",
    RecordType.ITEM: "item_id, updated_at, position",
    RecordType.USER: "user_id, position",
}


@dataclass(frozen=True)
class Written:
    """What one ingestion wrote of one kind of record."""

    record_type: RecordType
    interval_start: datetime | None
    interval_end: datetime | None
    n_landed: int
    n_accepted: int
    n_duplicate: int
    n_rejected: int


class Staging:
    """The rows of one ingestion on their way into the lake."""

    def __init__(self, folder: Path, source: str) -> None:
        """``folder`` belongs to this ingestion alone, and goes with ``close``."""
        self.folder, self.source = folder, source
        self.written = folder / "written"
        self.first_reason: str | None = None
        """Why the first reject was one."""
        self._landed = dict.fromkeys(RecordType, 0)
        self._valid = dict.fromkeys(RecordType, 0)
        self._repeated = dict.fromkeys(RecordType, 0)
        folder.mkdir(parents=True)
        self._writers = {
            name: pq.ParquetWriter(folder / f"{name}.parquet", schema.append(POSITION), compression="none")
            for name, schema in _staged_schemas().items()
        }

    def land(self, batch: RawBatch) -> None:
        """Validate a batch and stage it, records and rejects."""
        landed = validate(batch)
        self.add(batch.record_type, landed.records, landed.lines, batch.source_file, batch.received_at)
        self.add_rejects(batch.record_type, landed.rejects, batch.source_file)

    def add(
        self,
        record_type: RecordType,
        records: Sequence[BaseModel],
        lines: Sequence[int],
        source_file: str,
        received_at: datetime | None = None,
    ) -> None:
        """Stage records that the contract has already accepted."""
        n_rows, position = len(records), sum(self._landed.values())
        columns = records_to_columns(record_type.model, records)
        if "received_at" not in columns:
            columns["received_at"] = _received_at(record_type, columns, received_at)
        columns |= {
            "source": pa.repeat(self.source, n_rows),
            "source_file": pa.repeat(source_file, n_rows),
            "source_line": pa.array(lines, pa.int64()),
            "position": pa.array(range(position, position + n_rows), pa.int64()),
        }
        self._landed[record_type] += n_rows
        self._valid[record_type] += n_rows
        self._writers[record_type.folder].write_table(pa.table(columns))

    def add_rejects(self, record_type: RecordType, rejects: Sequence[Reject], source_file: str) -> None:
        """Stage rows that cannot be used."""
        if not rejects:
            return
        self.first_reason = self.first_reason or f"{source_file} line {rejects[0].line}: {rejects[0].reason}"
        position = sum(self._landed.values())
        self._landed[record_type] += len(rejects)
        rows = [
            {
                "received_at": reject.received_at,
                "source": self.source,
                "source_file": source_file,
                "source_line": reject.line,
                "record_type": str(record_type),
                "reason": reject.reason,
                "general_reason": reject.general_reason,
                "raw": reject.raw,
                "position": position + offset,
            }
            for offset, reject in enumerate(rejects)
        ]
        self._writers["rejects"].write_table(pa.Table.from_pylist(rows, STAGED_REJECTS_SCHEMA.append(POSITION)))

    def count_duplicates(self, record_type: RecordType, n_rows: int) -> None:
        """Count rows of which the source itself has found that they repeat others."""
        self._landed[record_type] += n_rows
        self._repeated[record_type] += n_rows

    def n_valid(self, record_type: RecordType) -> int:
        """How many rows of that kind the contract has accepted, duplicates included."""
        return self._valid[record_type]

    def n_landed(self, record_type: RecordType) -> int:
        """How many rows of that kind have come."""
        return self._landed[record_type]

    def write(self, ingestion_id: str, lake: Path) -> list[Written]:
        """Write the lake's files of this ingestion under ``written``, and say what they hold."""
        self._finish()
        with closing(_open_duckdb(self.folder / "spill")) as database:
            accepted = {kind: self._write_accepted(database, kind, ingestion_id, lake) for kind in RecordType}
            ends = [end for _, _, _, end in accepted.values() if end is not None]
            self._write_rejects(database, ingestion_id, max(ends, default=EPOCH))
            rejected = dict(_query(database, "SELECT record_type, count(*) FROM rejects GROUP BY ALL"))
        return [
            Written(kind, start, end, self._landed[kind], n_accepted, n_duplicate, rejected.get(str(kind), 0))
            for kind, (n_accepted, n_duplicate, start, end) in accepted.items()
        ]

    def close(self) -> None:
        """Forget everything staged."""
        self._finish()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _finish(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _write_accepted(
        self, database: duckdb.DuckDBPyConnection, kind: RecordType, ingestion_id: str, lake: Path
    ) -> tuple[int, int, datetime | None, datetime | None]:
        """The first of each key that no earlier ingestion has accepted: rows, duplicates, first and last arrival."""
        database.read_parquet(str(self.folder / f"{kind.folder}.parquet")).create_view("staged", replace=True)
        _earlier(database, kind, lake).create_view("earlier", replace=True)
        database.execute(
            f"CREATE OR REPLACE TEMP TABLE firsts AS SELECT min(position) AS position FROM staged"  # noqa: S608 (constants)
            f" ANTI JOIN earlier ON {_key(kind, 'staged')} = {_key(kind, 'earlier')} GROUP BY {_key(kind, 'staged')}"
        )
        n_staged = _query(database, "SELECT count(*) FROM staged")[0][0]
        first_to_last = "SELECT min(received_at), max(received_at) FROM staged SEMI JOIN firsts USING (position)"
        start, end = _query(database, first_to_last)[0]
        schema = lake_schema(kind)
        rows = database.execute(
            f"SELECT {', '.join(staged_schema(kind).names)}, ? AS ingestion_id FROM staged"  # noqa: S608 (constants)
            f" SEMI JOIN firsts USING (position) ORDER BY received_at::date, {_ORDER[kind]}",
            [ingestion_id],
        )
        batches = rows.to_arrow_reader(STREAM_ROWS)
        n_accepted = write_days(batches, schema, self.written / kind.folder, ingestion_id)
        return n_accepted, n_staged - n_accepted + self._repeated[kind], _utc(start), _utc(end)

    def _write_rejects(self, database: duckdb.DuckDBPyConnection, ingestion_id: str, otherwise: datetime) -> None:
        """A reject that does not say when it arrived is filed under the end of the ingestion's interval."""
        database.read_parquet(str(self.folder / "rejects.parquet")).create_view("rejects")
        columns = ", ".join(name for name in STAGED_REJECTS_SCHEMA.names if name != "received_at")
        rows = database.execute(
            f"SELECT coalesce(received_at, ?) AS received_at, {columns}, ? AS ingestion_id FROM rejects"  # noqa: S608 (constants)
            " ORDER BY coalesce(received_at, ?)::date, position",
            [otherwise, ingestion_id, otherwise],
        )
        write_days(rows.to_arrow_reader(STREAM_ROWS), REJECTS_SCHEMA, self.written / "rejects", ingestion_id)


def _staged_schemas() -> dict[str, pa.Schema]:
    return {kind.folder: staged_schema(kind) for kind in RecordType} | {"rejects": STAGED_REJECTS_SCHEMA}


def _open_duckdb(spill: Path) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spill)})
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET enable_progress_bar = false")
    return database


def _query(database: duckdb.DuckDBPyConnection, statement: str) -> list[tuple]:
    return database.execute(statement).fetchall()


def _earlier(database: duckdb.DuckDBPyConnection, kind: RecordType, lake: Path) -> duckdb.DuckDBPyRelation:
    files = [str(path) for path in (lake / kind.folder).glob("*/*.parquet")]
    return database.read_parquet(files) if files else database.from_arrow(lake_schema(kind).empty_table())


def _key(kind: RecordType, table: str) -> str:
    """What makes two rows the same: an event's id; of items and users, every word of what they say."""
    if kind is RecordType.EVENT:
        return f"{table}.event_id"
    fields = ", ".join(f"{name} := {table}.{name}" for name in contract_schema(kind.model).names)
    return f"md5(to_json(struct_pack({fields}))::varchar)"


def _received_at(kind: RecordType, columns: dict[str, pa.Array], otherwise: datetime | None) -> pa.Array:
    own = columns["updated_at" if kind is RecordType.ITEM else "created_at"]
    return own.fill_null(pa.scalar(otherwise or EPOCH, TIMESTAMP))


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
