"""Load a dataset, or close the live log, into the lake: the two ways in which events become history.

Both are transactions. Doing either again changes nothing, and an interrupted one is simply done again.
"""

import gc
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from freshet.contract import CONTRACT_VERSION, Event
from freshet.schedule import next_tick
from freshet.settings import Settings
from ingestion.balance import reasons_of
from ingestion.datasets import open_dataset
from ingestion.datasets.adapter import DatasetAdapter, DatasetContext, DatasetError
from ingestion.event_log import EventLog, SqliteEventLog
from ingestion.lake import Lake, LedgerEntry, RecordCounts
from ingestion.lake_schema import RecordType
from ingestion.landing import Reject
from ingestion.live_items import SqliteLiveItems
from ingestion.live_rejects import SqliteRejects
from ingestion.simulator_world import WorldConfig
from ingestion.staging import Staging

logger = logging.getLogger(__name__)

LIVE = "live"
LIVE_ORIGIN = "what the API received"
READ_AT_ONCE = 10_000
_LIVE_ID = re.compile(r"live-(\d{12})-(\d{12})-(\d{12})(?:-(\d{12}))?")


@dataclass(frozen=True)
class LivePosition:
    """The numbers of the last event, the last refused one, the last one sent again and the last change of an item, in
    the lake's books.
    """

    events: int
    rejects: int
    repeats: int
    items: int = 0

    @property
    def ingestion_id(self) -> str:
        """What the ingestion is called that reached so far."""
        events = f"{LIVE}-{self.events:012d}-{self.rejects:012d}-{self.repeats:012d}"
        return f"{events}-{self.items:012d}" if self.items else events  # homes are older than live items

    @classmethod
    def of(cls, ingestion_id: str) -> "LivePosition | None":
        """How far a live ingestion reached; None for those of datasets."""
        match = _LIVE_ID.fullmatch(ingestion_id)
        return cls(*map(int, match.groups(default="0"))) if match else None


@dataclass(frozen=True)
class Rehearsal:
    """What an ingestion would do."""

    origin: str
    counts: tuple[RecordCounts, ...]
    reasons: Mapping[str, int]


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
    return ingest(settings, open_dataset(name or settings.dataset, dataset_context(settings)), is_progress_shown)


def ingest(settings: Settings, dataset: DatasetAdapter, is_progress_shown: bool = True) -> IngestionReport:
    """Bring an opened dataset into the lake; nothing is done when just these rows are there already."""
    lake, ingestion_id = Lake(settings.lake_dir), f"{dataset.name}-v{CONTRACT_VERSION}-{dataset.fingerprint()[:16]}"
    with lake.ingestion(dataset.name, dataset.world) as ingestion:
        done = lake.entry(ingestion_id)
        if done is None:
            logger.info("ingesting a dataset", extra={"dataset": dataset.name, "origin": dataset.origin})
            _land(dataset, ingestion.staging, is_progress_shown)
            _refuse_if_all_wrong(dataset, ingestion.staging, lake)
        entry = done or ingestion.commit(ingestion_id)
    return _report(entry, dataset.origin, dataset.licence, is_new=done is None)


def rehearse(settings: Settings, dataset: DatasetAdapter, is_progress_shown: bool = True) -> Rehearsal:
    """Judge every row as ``ingest`` would, duplicates of what the lake holds included, and write nothing."""
    with TemporaryDirectory(prefix="freshet-dry-run-") as folder:
        with closing(Staging(Path(folder) / "staging", dataset.name)) as staging:
            _land(dataset, staging, is_progress_shown)
            written = staging.write("dry-run", settings.lake_dir)
            reasons = reasons_of(staging.written / "rejects")
        counts = tuple(
            RecordCounts(part.record_type, part.n_landed, part.n_accepted, part.n_duplicate, part.n_rejected)
            for part in written
        )
    return Rehearsal(dataset.origin, counts, reasons)


def ingest_live_events(settings: Settings, until: datetime) -> IngestionReport:
    """Move what the API received before ``until`` into the lake, each row exactly once however often this runs.

    Events, refused events, events that were sent again and changes of items each have an order of arrival; an ingestion
    is a piece of each, begins where the last one ended and is called after where it ends. What is appended late goes
    with the next.
    """
    lake = Lake(settings.lake_dir)
    with (
        closing(SqliteEventLog(settings.log_path)) as log,
        closing(SqliteRejects(settings.live_rejects_path)) as rejects,
        closing(SqliteLiveItems(settings.live_items_path)) as items,
        lake.ingestion(LIVE) as ingestion,
    ):
        before, staging = live_position(lake), ingestion.staging
        n_repeats, last_repeat = log.repeats(before.repeats, until)
        staging.count_duplicates(RecordType.EVENT, n_repeats)
        reached = LivePosition(
            events=_land_events(log, staging, before.events, until),
            rejects=_land_rejects(rejects, staging, before.rejects, until),
            repeats=last_repeat,
            items=_land_items(items, staging, before.items, until),
        )
        if reached == before:
            return IngestionReport(None, LIVE, LIVE_ORIGIN, "", (), is_new=False)
        entry = ingestion.commit(reached.ingestion_id)
    return _report(entry, LIVE_ORIGIN, "", is_new=True)


def live_position(lake: Lake) -> LivePosition:
    """How far into what the API received the lake reaches."""
    found = [reached for entry in lake.ledger() if (reached := LivePosition.of(entry.ingestion_id))]
    return LivePosition(
        events=max((reached.events for reached in found), default=0),
        rejects=max((reached.rejects for reached in found), default=0),
        repeats=max((reached.repeats for reached in found), default=0),
        items=max((reached.items for reached in found), default=0),
    )


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
        datasets_dir=settings.datasets_dir,
        truth_dir=settings.home / "truth",
        lake_dir=settings.lake_dir,
        simulation=world_config(settings),
        movielens_edition=settings.movielens_edition,
        simulation_live_days=settings.demo_live_days,
    )


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
    progress_bar = tqdm(desc=f"ingest {dataset.name}", unit=" rows", disable=None if is_progress_shown else True)
    with _collector_paused(), progress_bar as progress:
        for batch in dataset.read():
            staging.land(batch)
            progress.update(len(batch.rows))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Rows form no cycles, so looking for some among millions of them only costs time: a fifth of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _refuse_if_all_wrong(dataset: DatasetAdapter, staging: Staging, lake: Lake) -> None:
    """All wrong is one mistake in the whole, to be mended before it becomes part of a home."""
    is_catalogue_only = lake.world() is not None and not staging.n_landed(RecordType.EVENT)
    if not staging.n_valid(RecordType.EVENT) and not is_catalogue_only:
        reason = staging.first_reason or "there are no events in it"
        raise DatasetError(f"no event of {dataset.world} can be accepted, so nothing was written: {reason}")


def _land_events(log: EventLog, staging: Staging, after: int, until: datetime) -> int:
    last = after
    for sequences, events in _closed_part(log, after, until):
        staging.add(RecordType.EVENT, events, sequences, "events.db")
        last = sequences[-1]
    return last


def _land_rejects(rejects: SqliteRejects, staging: Staging, after: int, until: datetime) -> int:
    while stored := rejects.read(after, READ_AT_ONCE):
        closed = list(takewhile(lambda reject: reject.received_at < until, stored))
        rows = [Reject(reject.sequence, reject.received_at, reject.reason, reject.raw) for reject in closed]
        staging.add_rejects(RecordType.EVENT, rows, "rejects.db")
        after = closed[-1].sequence if closed else after
        if len(closed) < len(stored):
            break
    return after


def _land_items(items: SqliteLiveItems, staging: Staging, after: int, until: datetime) -> int:
    """A deleted item lands as one that is not available."""
    while changes := items.read(after, READ_AT_ONCE):
        closed = list(takewhile(lambda change: change.item.updated_at < until, changes))
        if closed:
            sequences = [change.sequence for change in closed]
            staging.add(RecordType.ITEM, [change.item for change in closed], sequences, "items.db")
            after = sequences[-1]
        if len(closed) < len(changes):
            break
    return after


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
    """When the first row (accepted, refused, sent again or an item) that no ingestion has moved yet was received."""
    reached = live_position(Lake(settings.lake_dir))
    with closing(SqliteEventLog(settings.log_path)) as log:
        waiting = [event.received_at for _, event in log.read(reached.events, 1)]
        repeated_at = log.first_repeat_at(reached.repeats)
        waiting += [] if repeated_at is None else [repeated_at]
    with closing(SqliteRejects(settings.live_rejects_path)) as rejects:
        waiting += [reject.received_at for reject in rejects.read(reached.rejects, 1)]
    with closing(SqliteLiveItems(settings.live_items_path)) as items:
        waiting += [change.item.updated_at for change in items.read(reached.items, 1)]
    return min(waiting, default=None)


def _report(entry: LedgerEntry, origin: str, licence: str, is_new: bool) -> IngestionReport:
    return IngestionReport(entry.ingestion_id, entry.source, origin, licence, entry.counts, is_new)
