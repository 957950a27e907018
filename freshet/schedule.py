"""What a cron setting means in time: its ticks, always in UTC, and the period between them."""

from datetime import UTC, datetime, timedelta

from croniter import croniter  # type: ignore[import-untyped]

_SOME_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def is_schedule(expression: str) -> bool:
    """Whether this is a cron expression of five fields, or a short form such as ``@daily``."""
    return len(expression.split()) in (1, 5) and bool(croniter.is_valid(expression))


def last_tick(expression: str, moment: datetime) -> datetime:
    """The newest tick at or before a moment."""
    at_or_before = croniter(expression, moment.astimezone(UTC) + timedelta(microseconds=1))
    tick: datetime = at_or_before.get_prev(datetime)
    return tick


def next_tick(expression: str, moment: datetime) -> datetime:
    """The first tick after a moment."""
    tick: datetime = croniter(expression, moment.astimezone(UTC)).get_next(datetime)
    return tick


def period(expression: str) -> timedelta:
    """The time from one tick to the next; of an irregular schedule, that between two ticks of an ordinary week."""
    ticks = croniter(expression, _SOME_MONDAY)
    first: datetime = ticks.get_next(datetime)
    second: datetime = ticks.get_next(datetime)
    return second - first
