from datetime import UTC, datetime, timedelta

import pytest

from freshet.contract import Event, EventType
from ingestion.arrivals import arrivals_between
from ingestion.event_log import SqliteEventLog

NOON = datetime(2025, 5, 1, 12, tzinfo=UTC)
HOURS = [NOON + timedelta(hours=hour) for hour in range(4)]
SECONDS_AFTER_NOON = (-1, 0, 1800, 3599, 3600, 10_799, 10_800)


@pytest.fixture
def log_path(tmp_path):
    path = tmp_path / "log" / "events.db"
    log = SqliteEventLog(path)
    for seconds in SECONDS_AFTER_NOON:
        moment = NOON + timedelta(seconds=seconds)
        event = {"event_id": f"e{seconds}", "event_type": EventType.CLICK, "user_id": "u", "item_id": "i"}
        log.append([Event(**event, occurred_at=moment, received_at=moment)])
    log.close()
    return path


def test_an_hour_counts_from_its_first_second_until_before_the_next(log_path):
    assert arrivals_between(log_path, HOURS) == [3, 1, 1]


def test_hours_before_and_after_everything_count_nothing(log_path):
    assert arrivals_between(log_path, [NOON - timedelta(days=2), NOON - timedelta(days=1)]) == [0]
    assert arrivals_between(log_path, [NOON + timedelta(days=1), NOON + timedelta(days=2)]) == [0]


def test_a_log_that_is_not_there_has_had_no_arrivals_and_is_not_made(tmp_path):
    assert arrivals_between(tmp_path / "events.db", HOURS) == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []
