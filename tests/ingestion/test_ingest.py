"""Datasets and live events become history once, however often it is tried and whoever kills whom."""

import os
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from freshet.contract import Event
from ingestion.balance import accounts
from ingestion.datasets.adapter import DatasetError
from ingestion.event_log import SqliteEventLog
from ingestion.ingest import LivePosition, ingest_dataset, ingest_live_events, ingest_live_intervals, live_position
from ingestion.lake import Lake, WorldError
from ingestion.live_rejects import Reject, SqliteRejects

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def append(settings, *minutes: int, first: int = 0) -> None:
    """Let the API receive one event in each of these minutes after noon."""
    times = [NOON + timedelta(minutes=minute) for minute in minutes]
    common = {"event_type": "click", "user_id": "u1", "item_id": "i1"}
    events = [
        Event(event_id=f"live-{number}", occurred_at=time, received_at=time, **common)
        for number, time in enumerate(times, start=first)
    ]
    with closing(SqliteEventLog(settings.log_path)) as log:
        log.append(events)


def live_ids(settings, ask) -> list[str]:
    return [
        row[0] for row in ask(settings.lake_dir, "events", "event_id", "WHERE source = 'live' ORDER BY source_line")
    ]


def test_nothing_live_is_nothing_new(settings):
    report = ingest_live_events(settings, until=NOON)
    assert (report.n_new, report.counts) == (0, ())


def test_only_the_closed_part_of_the_log_moves(settings, ask):
    append(settings, 0, 1, 2)
    report = ingest_live_events(settings, until=NOON + timedelta(minutes=2))
    assert (report.n_new, report.counts[0].n_landed) == (2, 2)
    assert live_ids(settings, ask) == ["live-0", "live-1"]


def test_live_events_move_exactly_once(settings, ask):
    append(settings, 0, 1)
    later = NOON + timedelta(hours=1)
    assert [ingest_live_events(settings, until=later).n_new for _ in range(3)] == [2, 0, 0]
    append(settings, 30, first=2)
    append(settings, 31, first=0)  # sent again: the log knows it
    assert ingest_live_events(settings, until=later).n_new == 1
    assert live_ids(settings, ask) == ["live-0", "live-1", "live-2"]
    assert live_position(Lake(settings.lake_dir)) == LivePosition(events=3, rejects=0, repeats=1)


def test_a_live_event_that_history_knows_is_a_duplicate(settings, tmp_path, write_jsonl):
    event = {
        "event_id": "live-0",
        "event_type": "view",
        "user_id": "u1",
        "item_id": "i1",
        "occurred_at": "2025-05-01T00:00Z",
    }
    ingest_dataset(settings, str(write_jsonl(tmp_path / "own" / "events.jsonl", [event])))
    append(settings, 0, 1)
    report = ingest_live_events(settings, until=NOON + timedelta(days=1))
    assert (report.n_new, report.counts[0].n_duplicate) == (1, 1)


def refuse(settings, *minutes: int) -> None:
    """Let the API refuse one event in each of these minutes after noon."""
    rejects = [Reject(NOON + timedelta(minutes=minute), 0, "user_id: Field required", "{}") for minute in minutes]
    with closing(SqliteRejects(settings.live_rejects_path)) as store:
        store.append(rejects)


def test_what_the_api_refused_or_knew_is_in_the_books_exactly_once(settings, ask):
    append(settings, 0, 1)
    append(settings, 2, 70, first=0)  # both are sent again, one of them late
    refuse(settings, 0, 3, 70)
    ends = [NOON + timedelta(hours=1)] * 2 + [NOON + timedelta(hours=2)] * 2
    reports = [ingest_live_events(settings, until=end) for end in ends]
    counts = [
        (part.n_landed, part.n_accepted, part.n_duplicate, part.n_rejected)
        for report in reports
        for part in report.counts[:1]
    ]
    assert counts == [(5, 2, 1, 2), (2, 0, 1, 1)]
    [account] = accounts(Lake(settings.lake_dir))
    assert (account.landed, account.accepted, account.duplicates, account.rejected) == (7, 2, 2, 3)
    assert account.reasons == {"user_id: Field required": 3}
    rows = ask(settings.lake_dir, "rejects", "source, source_file, source_line, raw", "ORDER BY source_line")
    assert rows == [("live", "rejects.db", number, "{}") for number in (1, 2, 3)]


def test_refused_events_alone_are_an_ingestion_too(settings):
    refuse(settings, 0)
    report = ingest_live_events(settings, until=NOON + timedelta(hours=1))
    assert (report.n_new, report.counts[0].n_rejected) == (0, 1)
    assert live_position(Lake(settings.lake_dir)) == LivePosition(events=0, rejects=1, repeats=0)


def test_the_lake_can_be_rebuilt_from_the_log(settings, files_in):
    append(settings, 0, 1, 2)
    append(settings, 3, first=0)
    refuse(settings, 1)
    ingest_live_events(settings, until=NOON + timedelta(hours=1))
    before = files_in(settings.lake_dir)
    settings.lake_dir.rename(settings.home / "old_lake")
    ingest_live_events(settings, until=NOON + timedelta(hours=2))
    assert files_in(settings.lake_dir) == before


@pytest.mark.parametrize("order", [(60, 120, 180), (180, 60, 120), (120, 180, 60), (180,), (60, 180, 180)])
def test_in_whatever_order_intervals_are_filled_in_the_files_are_the_same(order, make_settings, files_in):
    """Hours of noon: two events in the first, none in the second, one in the third, and one that is not closed."""
    punctual, other = make_settings("punctual"), make_settings("other")
    for settings, minutes in ((punctual, (60, 120, 180)), (other, order)):
        append(settings, 0, 59, 120, 181)
        for minute in minutes:
            ingest_live_intervals(settings, until=NOON + timedelta(minutes=minute))
    files = files_in(punctual.lake_dir)
    assert [name for name in files if name.startswith("ingestions/live")] == [
        "ingestions/live-000000000002-000000000000-000000000000.parquet",
        "ingestions/live-000000000003-000000000000-000000000000.parquet",
    ]
    assert files_in(other.lake_dir) == files


def test_an_hour_in_which_events_were_only_sent_again_has_its_books(settings):
    append(settings, 0)
    append(settings, 70, first=0)
    reports = ingest_live_intervals(settings, until=NOON + timedelta(hours=2))
    assert [(report.counts[0].n_accepted, report.counts[0].n_duplicate) for report in reports] == [(1, 0), (0, 1)]


def test_a_schedule_of_days_makes_one_ingestion_a_day(make_settings):
    settings = make_settings(ingest_schedule="@daily")
    append(settings, 0, 60, 24 * 60)
    reports = ingest_live_intervals(settings, until=NOON + timedelta(days=7))
    assert [report.n_new for report in reports] == [2, 1]


def test_another_world_is_refused_with_the_next_step(settings, make_settings):
    ingest_dataset(settings, "demo")
    with pytest.raises(WorldError, match=r"already holds the demo world of seed 0.*MovieLens.*FRESHET_HOME"):
        ingest_dataset(settings, "movielens-small")
    with pytest.raises(WorldError, match="the demo world of seed 1"):
        ingest_dataset(make_settings(seed=1), "demo")


def test_files_that_grew_bring_only_what_is_new(settings, tmp_path, write_jsonl):
    event = {"event_type": "view", "user_id": "u1", "item_id": "i1"}
    rows = [event | {"occurred_at": f"2025-05-0{day}T00:00:00Z"} for day in (1, 2, 3)]
    path = write_jsonl(tmp_path / "own" / "events.jsonl", rows[:2])
    first = ingest_dataset(settings, str(path))
    write_jsonl(path, rows)
    second = ingest_dataset(settings, str(path))
    assert [(report.counts[0].n_accepted, report.counts[0].n_duplicate) for report in (first, second)] == [
        (2, 0),
        (1, 2),
    ]


def test_a_source_without_a_usable_event_is_refused_whole(settings, tmp_path, write_jsonl):
    path = write_jsonl(tmp_path / "own" / "events.jsonl", [{"event_type": "view", "user_id": "u1", "item_id": "i1"}])
    with pytest.raises(DatasetError, match=r"no event of your own files can be accepted.*line 1: occurred_at"):
        ingest_dataset(settings, str(path))
    assert Lake(settings.lake_dir).world() is None


INGEST = """
from freshet.settings import load_settings
from ingestion.ingest import ingest_dataset
ingest_dataset(load_settings(), "demo")
"""


@pytest.mark.parametrize("moment", [".staging/events.parquet", ".staging/written", "events"])
def test_a_killed_ingestion_is_simply_done_again(moment, make_settings, files_in):
    killed, whole = make_settings("killed"), make_settings("whole")
    sizes = {
        f"FRESHET_{name.upper()}": str(getattr(killed, name))
        for name in ("demo_users", "demo_items", "demo_days", "demo_events")
    }
    process = subprocess.Popen(
        [sys.executable, "-c", INGEST], env=os.environ | sizes | {"FRESHET_HOME": str(killed.home)}
    )
    while not (killed.lake_dir / moment).exists() and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.wait()
    ingest_dataset(killed, "demo")
    ingest_dataset(whole, "demo")
    assert files_in(killed.home) == files_in(whole.home)
