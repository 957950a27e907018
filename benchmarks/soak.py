"""Does it grow? Events and answers at a steady rate, and the memory of the API beside them, minute by minute.

``make bench-soak MINUTES=20``, over the home of ``make bench-serve`` with 10,000 items. Both loads are open loops, so a
server that slows down is asked as often as before. A minute in which a request is not answered, or not with 2xx, counts
as failed and the next one begins. Exit code 1 where one has.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from benchmarks import serve_events
from benchmarks.load import Load, LoadError, Plan, finish_load, percentile, run_load, start_load
from benchmarks.report import Figure, report
from benchmarks.serve import make_home
from benchmarks.serve_targets import Server, freshet
from commands.processes import ProcessError
from freshet.settings import load_settings

MINUTES = int(os.environ.get("MINUTES", "20"))
EVENTS_PER_SECOND = float(os.environ.get("EVENTS_PER_SECOND", "50"))
ANSWERS_PER_SECOND = float(os.environ.get("ANSWERS_PER_SECOND", "50"))
"""Far below what two cores carry: this is about time, not about speed."""
N_ITEMS = 10_000
WARM_UP_SECONDS = 10.0

console = Console()


@dataclass(frozen=True)
class Minute:
    """What one minute brought."""

    memory_mb: float
    """At its end."""
    n_events: int
    p99_ms: float | None
    """Of its answers; None where one of them failed."""
    n_answers: int
    fault: str | None


def main() -> None:
    """Make the home, load it, write the figures."""
    if MINUTES < 1:
        sys.exit(f"freshet: MINUTES={MINUTES} is no time: give 1 or more")
    settings = load_settings()
    home = settings.home / "bench" / f"serve-{N_ITEMS}"
    try:
        make_home(home, N_ITEMS)
        with freshet(home) as api:
            run_load(Plan(api.port, serve_events.recommendations(), WARM_UP_SECONDS, rate=ANSWERS_PER_SECOND))
            at_start = api.memory_mb
            minutes = [_minute(api, number) for number in range(MINUTES)]
    except (ProcessError, LoadError) as error:
        sys.exit(f"freshet: {error}")
    console.print(f"written to {report('soak', list(figures(at_start, minutes)), settings.home)}")
    if faults := [minute.fault for minute in minutes if minute.fault]:
        sys.exit(f"freshet: {len(faults)} of {MINUTES} minutes failed, the first with: {faults[0]}")


def figures(at_start: float, minutes: Sequence[Minute]) -> Iterator[Figure]:
    """The table, the slope last."""
    memory = [at_start, *(minute.memory_mb for minute in minutes)]
    yield _one("rss_mb_start", at_start, "MB")
    for number, minute in enumerate(minutes, start=1):
        yield _one(f"rss_mb_minute_{number}", minute.memory_mb, "MB")
    yield _one("rss_mb_end", memory[-1], "MB")
    yield _one("events", sum(minute.n_events for minute in minutes), "events")
    yield _one("answers", sum(minute.n_answers for minute in minutes), "answers")
    yield _one("failed_minutes", sum(minute.fault is not None for minute in minutes), "minutes")
    found = [minute.p99_ms for minute in minutes if minute.p99_ms is not None]
    if found:
        yield _one("p99_ms_first_minute", found[0], "ms")
        yield _one("p99_ms_last_minute", found[-1], "ms")
    yield _one("slope_mb_per_hour", slope_per_hour(memory), "MB/h")
    yield _one("slope_mb_per_hour_second_half", slope_per_hour(memory[len(memory) // 2 - 1 :]), "MB/h")


def slope_per_hour(by_minute: Sequence[float]) -> float:
    """By how much values that are a minute apart grow in an hour: the straight line nearest to them (least squares)."""
    return float(np.polyfit(np.arange(len(by_minute)) / 60, by_minute, 1)[0])


def _minute(api: Server, number: int) -> Minute:
    events = start_load(
        Plan(api.port, serve_events.single_requests(N_ITEMS), 60.0, rate=EVENTS_PER_SECOND, seed=2 * number)
    )
    answers = start_load(
        Plan(api.port, serve_events.recommendations(), 60.0, rate=ANSWERS_PER_SECOND, seed=2 * number + 1)
    )
    (told, wrong), (asked, fault) = _finished(events), _finished(answers)
    minute = Minute(
        memory_mb=api.memory_mb,
        n_events=len(told.latencies_ms) if told else 0,
        p99_ms=percentile(asked.latencies_ms, 0.99) if asked else None,
        n_answers=len(asked.latencies_ms) if asked else 0,
        fault=fault or wrong,
    )
    shown = "failed" if minute.p99_ms is None else f"p99 {minute.p99_ms:.1f} ms"
    console.print(f"minute {number + 1}: {minute.memory_mb:.0f} MB, answers {shown}", highlight=False)
    return minute


def _finished(load: "subprocess.Popen[str]") -> tuple[Load | None, str | None]:
    try:
        return finish_load(load), None
    except LoadError as error:
        return None, str(error)


def _one(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, (value, value))


if __name__ == "__main__":
    main()
