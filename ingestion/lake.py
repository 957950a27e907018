"""The lake: all that ever happened, as Parquet by day of arrival, each row accepted once or rejected with a reason.

An ingestion is a transaction. It stages rows beside the lake, finds duplicates against everything accepted before,
moves whole files into place and writes its line in the ledger last. What a killed ingestion left is swept away by the
next one, which then makes the same files with the same bytes.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.files import locked, write_text
from ingestion.day_files import write_table
from ingestion.lake_schema import LEDGER_SCHEMA, REJECTS_SCHEMA, RecordType, lake_schema
from ingestion.staging import Staging

logger = logging.getLogger(__name__)

FOLDERS = (*(record_type.folder for record_type in RecordType), "rejects")


class WorldError(ValueError):
    """Another world lives in this home."""


@dataclass(frozen=True)
class RecordCounts:
    """What became of the rows of one kind: landed = accepted + duplicate + rejected."""

    record_type: RecordType
    n_landed: int
    n_accepted: int
    n_duplicate: int
    n_rejected: int


@dataclass(frozen=True)
class LedgerEntry:
    """One finished ingestion."""

    ingestion_id: str
    source: str
    counts: tuple[RecordCounts, ...]
    interval_end: datetime | None


class Lake:
    """The Parquet folders under one path; writing is one process at a time, reading is anybody's."""

    def __init__(self, folder: Path) -> None:
        """Nothing is created before the first ingestion."""
        self.folder = folder

    def ledger(self) -> list[LedgerEntry]:
        """Every finished ingestion, by name."""
        return [_read_entry(path) for path in sorted((self.folder / "ingestions").glob("*.parquet"))]

    def entry(self, ingestion_id: str) -> LedgerEntry | None:
        """The ledger's line about one ingestion, if it has finished."""
        path = self._ledger_path(ingestion_id)
        return _read_entry(path) if path.exists() else None

    def total(self, ingestion_ids: Sequence[str]) -> dict[str, int]:
        """What became of all rows of some finished ingestions."""
        counts = [part for entry in map(self.entry, ingestion_ids) if entry is not None for part in entry.counts]
        names = ("n_landed", "n_accepted", "n_duplicate", "n_rejected")
        return {name: sum(getattr(part, name) for part in counts) for name in names}

    def world(self) -> str | None:
        """Which world lives here; None while nothing but live events has arrived."""
        path = self.folder / "world.json"
        return str(json.loads(path.read_text())["world"]) if path.exists() else None

    @contextmanager
    def ingestion(self, source: str, world: str | None = None) -> Iterator["Ingestion"]:
        """Open the one writing transaction, waiting for any other; nothing is in the lake before ``commit``."""
        with locked(self.folder / ".lock"):
            self._check_world(world)
            self._sweep()
            with closing(Staging(self.folder / ".staging", source)) as staging:
                yield Ingestion(self, staging, world)

    def publish(self, lines: Sequence[dict[str, object]], written: Path, ingestion_id: str, world: str | None) -> None:
        """Move an ingestion's files into place, its line in the ledger last."""
        self._create_folders()
        if world is not None:
            write_text(self.folder / "world.json", json.dumps({"world": world}))
        for path in sorted(written.rglob("*.parquet")):
            target = self.folder / path.relative_to(written)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        write_table(pa.Table.from_pylist(list(lines), LEDGER_SCHEMA), self._ledger_path(ingestion_id))

    def _check_world(self, world: str | None) -> None:
        existing = self.world()
        if world is not None and existing not in (None, world):
            raise WorldError(
                f"{self.folder.parent} already holds {existing}, so {world} cannot be added: "
                "one home holds one world; set another FRESHET_HOME, or forget the old world with `make clean`"
            )

    def _sweep(self) -> None:
        """Remove what an interrupted ingestion left: staged rows, and files without a line in the ledger."""
        shutil.rmtree(self.folder / ".staging", ignore_errors=True)
        finished = {path.stem for path in (self.folder / "ingestions").glob("*.parquet")}
        for folder in FOLDERS:
            for path in (self.folder / folder).glob("*/*"):
                if path.stem != "schema" and path.stem.rpartition("-")[0] not in finished:
                    logger.warning("removing a file of an unfinished ingestion", extra={"path": str(path)})
                    path.unlink()

    def _create_folders(self) -> None:
        """An empty file in each folder carries the columns, so that reading never fails for want of a file."""
        for folder, schema in _schemas().items():
            path = self.folder / folder / "received_date=1970-01-01" / "schema.parquet"
            if not path.exists():
                write_table(schema.empty_table(), path)

    def _ledger_path(self, ingestion_id: str) -> Path:
        return self.folder / "ingestions" / f"{ingestion_id}.parquet"


class Ingestion:
    """One open transaction: stage rows, then ``commit``."""

    def __init__(self, lake: Lake, staging: Staging, world: str | None) -> None:
        """Made by ``Lake.ingestion``."""
        self._lake, self._world, self.staging = lake, world, staging

    def commit(self, ingestion_id: str) -> LedgerEntry:
        """Publish what was staged. Rows are counted where they land and where files are written; both must agree."""
        written = self.staging.write(ingestion_id, self._lake.folder)
        for part in written:
            if part.n_landed != part.n_accepted + part.n_duplicate + part.n_rejected:
                raise RuntimeError(f"the counts of {ingestion_id} do not add up, nothing was written: {part}")
        ends = [part.interval_end for part in written if part.interval_end is not None]
        # The data's own time, not the clock's: a rerun writes the same bytes.
        common = {"ingestion_id": ingestion_id, "source": self.staging.source, "completed_at": max(ends, default=None)}
        lines = [asdict(part) | {"record_type": str(part.record_type)} | common for part in written]
        self._lake.publish(lines, self.staging.written, ingestion_id, self._world)
        entry = self._lake.entry(ingestion_id)
        assert entry is not None
        return entry


def _schemas() -> dict[str, pa.Schema]:
    return {kind.folder: lake_schema(kind) for kind in RecordType} | {"rejects": REJECTS_SCHEMA}


def _read_entry(path: Path) -> LedgerEntry:
    rows = pq.read_table(path, partitioning=None).to_pylist()
    counts = tuple(
        RecordCounts(
            RecordType(row["record_type"]), row["n_landed"], row["n_accepted"], row["n_duplicate"], row["n_rejected"]
        )
        for row in rows
    )
    return LedgerEntry(rows[0]["ingestion_id"], rows[0]["source"], counts, rows[0]["completed_at"])
