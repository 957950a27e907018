"""Load a dataset, or close the live log, into the lake: the two ways in which events become history.

Both are transactions. Doing either again changes nothing, and an interrupted one is simply done again.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile

from tqdm import tqdm

from freshet.contract import CONTRACT_VERSION, Event
from freshet.schedule import next_tick
from freshet.settings import Settings
from ingestion.datasets import open_dataset
from ingestion.datasets.adapter import DatasetAdapter, DatasetContext, DatasetError
from ingestion.event_log import EventLog, SqliteEventLog
from ingestion.lake import Lake, LedgerEntry, RecordCounts
from ingestion.lake_schema import RecordType
from ingestion.simulator_world import WorldConfig
from ingestion.staging import Staging

logger = logging.getLogger(__name__)

LIVE = "live"
LIVE_ORIGIN = "what the API received"
READ_AT_ONCE = 10_000
_LIVE_ID = re.compile(r"live-(\d{12})-(\d{12})")


@dataclass(frozen=True)
class IngestionReport:
    """What an ingestion did; a repeated one reports the same."""

    ingestion_id: str | None
    """None when there was nothing to ingest."""
    source: str
    origin: str
    licence: str
    counts: tuple[RecordCounts, ...]
    is_new: bool = field(compare=False)
    """False when this had been done before and nothing was written."""

    @property
    def n_new(self) -> int:
        """Rows that this very call added to the lake."""
        return sum(counts.n_accepted for counts in self.counts) if self.is_new else 0


def ingest_dataset(settings: Settings, name: str | None = None, is_progress_shown: bool = True) -> IngestionReport:
    """Bring a dataset into the lake, by name or by path; nothing is done when just these rows are there already."""
    dataset = open_dataset(name or settings.dataset, dataset_context(settings))
    lake, ingestion_id = Lake(settings.lake_dir), f"{dataset.name}-v{CONTRACT_VERSION}-{dataset.fingerprint()[:16]}"
    with lake.ingestion(dataset.name, dataset.world) as ingestion:
        done = lake.entry(ingestion_id)
        if done is None:
            logger.info("ingesting a dataset", extra={"dataset": dataset.name, "origin": dataset.origin})
            _land(dataset, ingestion.staging, is_progress_shown)
        entry = done or ingestion.commit(ingestion_id)
    return _report(entry, dataset.origin, dataset.licence, is_new=done is None)


def ingest_live_events(settings: Settings, until: datetime) -> IngestionReport:
    """Move what the API received before ``until`` into the lake, each event exactly once however often this runs.

    An ingestion is a range of the log's sequence and begins where the ledger says the last one ended; an event that is
    appended late has a later sequence and goes with the next one.
    """
    lake = Lake(settings.lake_dir)
    with closing(SqliteEventLog(settings.log_path)) as log, lake.ingestion(LIVE) as ingestion:
        first = last = last_live_sequence(lake)
        for sequences, events in _closed_part(log, first, until):
            ingestion.staging.add(RecordType.EVENT, events, sequences, settings.log_path.name)
            last = sequences[-1]
        if last == first:
            return IngestionReport(None, LIVE, LIVE_ORIGIN, "", (), is_new=False)
        entry = ingestion.commit(f"{LIVE}-{first + 1:012d}-{last:012d}")
    return _report(entry, LIVE_ORIGIN, "", is_new=True)


def ingest_live_intervals(settings: Settings, until: datetime) -> list[IngestionReport]:
    """Move what the API received before ``until``, cut at the ticks of ``ingest_schedule``; one report for each part.

    So the lake does not depend on when runs took place, nor in which order: runs that were missed, or are filled in
    later, leave the files that punctual ones would have left.
    """
    reports = []
    while (arrived := _oldest_outside_the_lake(settings)) is not None and arrived < until:
        reports.append(ingest_live_events(settings, min(next_tick(settings.ingest_schedule, arrived), until)))
    return reports


def dataset_context(settings: Settings) -> DatasetContext:
    """What the settings say to a dataset's adapter."""
    return DatasetContext(
        settings.datasets_dir, settings.home / "truth", world_config(settings), settings.demo_live_days
    )


def last_live_sequence(lake: Lake) -> int:
    """How far into the live log the lake reaches."""
    ends = [int(match.group(2)) for entry in lake.ledger() if (match := _LIVE_ID.fullmatch(entry.ingestion_id))]
    return max(ends, default=0)


def world_config(settings: Settings) -> WorldConfig:
    """The simulated world that the settings describe."""
    return WorldConfig(
        seed=settings.seed,
        n_users=settings.demo_users,
        n_items=settings.demo_items,
        n_days=settings.demo_days,
        n_events=settings.demo_events,
    )


def _land(dataset: DatasetAdapter, staging: Staging, is_progress_shown: bool) -> None:
    with tqdm(desc=f"ingest {dataset.name}", unit=" rows", disable=None if is_progress_shown else True) as progress:
        for batch in dataset.read():
            staging.land(batch)
            progress.update(len(batch.rows))
    if not staging.n_valid(RecordType.EVENT):
        # All wrong is one mistake in the whole, to be mended before it becomes part of a home.
        reason = staging.first_reason or "there are no events in it"
        raise DatasetError(f"no event of {dataset.world} can be accepted, so nothing was written: {reason}")


def _closed_part(log: EventLog, after: int, until: datetime) -> Iterator[tuple[list[int], list[Event]]]:
    """The log's events up to the first that was received at or after ``until``."""
    while part := log.read(after, READ_AT_ONCE):
        closed = list(takewhile(lambda entry: entry[1].received_at < until, part))
        if closed:
            yield [sequence for sequence, _ in closed], [event for _, event in closed]
        if len(closed) < len(part):
            return
        after = closed[-1][0]


def _oldest_outside_the_lake(settings: Settings) -> datetime | None:
    """When the first event of the log that no ingestion has moved yet was received."""
    with closing(SqliteEventLog(settings.log_path)) as log:
        waiting = log.read(last_live_sequence(Lake(settings.lake_dir)), 1)
    return waiting[0][1].received_at if waiting else None


def _report(entry: LedgerEntry, origin: str, licence: str, is_new: bool) -> IngestionReport:
    return IngestionReport(entry.ingestion_id, entry.source, origin, licence, entry.counts, is_new)
