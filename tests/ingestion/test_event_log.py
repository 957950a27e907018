"""The event log keeps every acknowledged event exactly once, whoever writes and whatever dies."""

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from freshet.contract import Event, EventType
from ingestion.event_log import AppendResult, SqliteEventLog

NOON = datetime(2025, 5, 1, 12, tzinfo=UTC)


def click(number: int) -> Event:
    moment = NOON + timedelta(microseconds=number)
    return Event(
        event_id=f"e{number}",
        event_type=EventType.CLICK,
        user_id="u1",
        item_id="i1",
        occurred_at=moment,
        received_at=moment,
    )


@pytest.fixture
def log(tmp_path):
    log = SqliteEventLog(tmp_path / "log" / "events.db")
    yield log
    log.close()


def test_an_empty_log_ends_at_zero(log):
    assert log.last_sequence() == 0
    assert log.read(after=0, limit=10) == []
    assert log.append([]) == []


def test_events_come_back_whole_and_in_order(log):
    rich = Event(
        event_id="e1",
        event_type="search",
        user_id="ü-1",
        occurred_at="2025-05-01T12:00:00.000001+02:00",
        received_at="2025-05-01T10:00:05Z",
        text="café «noir» 🎬",
        value=0.1,
        properties={"page": {"rank": [1, 2.5, None, True]}},
    )
    log.append([rich, click(2)])
    assert log.read(after=0, limit=10) == [(1, rich), (2, click(2))]
    assert log.read(after=1, limit=10) == [(2, click(2))]
    assert log.read(after=0, limit=1) == [(1, rich)]


def test_the_same_event_is_stored_once_for_ever(log):
    accepted, duplicate = AppendResult("accepted", 1), AppendResult("duplicate", 1)
    assert log.append([click(1), click(1)]) == [accepted, duplicate]
    assert log.append([click(1)]) == [duplicate]
    assert log.last_sequence() == 1


def test_a_failing_append_stores_nothing(log):
    class Unstorable(Event):
        def model_dump_json(self, **options):
            return None

    broken = Unstorable(**click(2).model_dump())
    with pytest.raises(Exception, match="NOT NULL"):
        log.append([click(1), broken])
    assert log.last_sequence() == 0
    assert log.append([click(1)])[0].status == "accepted"


def test_many_threads_and_logs_store_each_event_once(log, tmp_path):
    other = SqliteEventLog(tmp_path / "log" / "events.db")  # as another process would open it
    batches = [[click(number) for number in range(start, start + 40)] for start in range(0, 200, 20)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda pair: pair[1].append(pair[0]), [(b, w) for b in batches for w in (log, other)]))
    other.close()
    accepted = [result.sequence for batch in results for result in batch if result.status == "accepted"]
    stored = log.read(after=0, limit=1_000)
    assert sorted(accepted) == [sequence for sequence, _ in stored]
    assert {event.event_id for _, event in stored} == {f"e{number}" for number in range(220)}
    assert len(stored) == 220


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from freshet.contract import Event
from ingestion.event_log import SqliteEventLog
log, now = SqliteEventLog(Path(sys.argv[1])), datetime.now(UTC)
for number in range(10**9):
    event = {"event_id": f"e{number}", "event_type": "click", "user_id": "u", "item_id": "i"}
    log.append([Event(**event, occurred_at=now, received_at=now)])
    print(number, flush=True)
"""


def test_acknowledged_events_survive_a_killed_process(tmp_path):
    path = tmp_path / "events.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    acknowledged = [int(writer.stdout.readline()) for _ in range(50)][-1]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
    writer.wait()
    writer.stdout.close()

    log = SqliteEventLog(path)
    stored = [event.event_id for _, event in log.read(after=0, limit=10**6)]
    log.close()
    assert stored == [f"e{number}" for number in range(len(stored))]
    assert len(stored) >= acknowledged + 1


def test_a_log_of_another_version_is_refused_by_name(tmp_path):
    path = tmp_path / "events.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(ValueError, match=r"log schema 7"):
        SqliteEventLog(path)


def test_appends_that_meet_share_a_transaction_and_each_get_their_own_results(log):
    def send(number: int) -> list[AppendResult]:
        return log.append([click(number), click(number + 1_000), click(0)])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(1, 101)))
    stored = {event.event_id: sequence for sequence, event in log.read(0, 1_000)}
    assert len(stored) == 201
    for number, (first, second, _) in enumerate(answers, start=1):
        assert (first, second) == (
            AppendResult("accepted", stored[f"e{number}"]),
            AppendResult("accepted", stored[f"e{number + 1_000}"]),
        )
    third = [answer[2] for answer in answers]
    assert {result.sequence for result in third} == {stored["e0"]}
    assert sorted(result.status for result in third) == ["accepted"] + ["duplicate"] * 99


def test_the_tail_leaves_impressions_out_but_passes_them(log):
    shown = click(2).model_copy(update={"event_type": EventType.IMPRESSION})
    log.append([click(1), shown, click(3), shown.model_copy(update={"event_id": "e4"})])
    assert log.tail(after=0, limit=10) == ([(1, click(1)), (3, click(3))], 4)
    assert log.tail(after=0, limit=2) == ([(1, click(1))], 2)
    assert log.tail(after=3, limit=10) == ([], 4)
    assert log.tail(after=4, limit=10) == ([], 4)
