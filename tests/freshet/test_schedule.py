from datetime import UTC, datetime, timedelta, timezone

import pytest

from freshet.schedule import last_tick, next_tick, period


@pytest.mark.parametrize(
    ("moment", "tick"),
    [
        (datetime(2026, 3, 9, 3, 0, tzinfo=UTC), datetime(2026, 3, 9, 3, 0, tzinfo=UTC)),
        (datetime(2026, 3, 9, 2, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 3, 2, 3, 0, tzinfo=UTC)),
        (datetime(2026, 3, 15, 23, 0, tzinfo=UTC), datetime(2026, 3, 9, 3, 0, tzinfo=UTC)),
        # 04:30 in a zone two hours ahead is 02:30 UTC, before Monday's tick.
        (datetime(2026, 3, 9, 4, 30, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 3, 2, 3, 0, tzinfo=UTC)),
    ],
)
def test_the_last_tick_is_at_or_before_the_moment_in_utc(moment, tick):
    assert last_tick("0 3 * * 1", moment) == tick


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 * * * *", timedelta(hours=1)),
        ("@daily", timedelta(days=1)),
        ("0 3 * * 1", timedelta(days=7)),
        ("*/15 * * * *", timedelta(minutes=15)),
    ],
)
def test_the_period_of_a_schedule_is_the_time_between_two_ticks(expression, expected):
    assert period(expression) == expected


@pytest.mark.parametrize(
    ("moment", "tick"),
    [
        (datetime(2026, 3, 9, 3, 0, tzinfo=UTC), datetime(2026, 3, 16, 3, 0, tzinfo=UTC)),
        (datetime(2026, 3, 9, 2, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 3, 9, 3, 0, tzinfo=UTC)),
    ],
)
def test_the_next_tick_is_after_the_moment(moment, tick):
    assert next_tick("0 3 * * 1", moment) == tick
