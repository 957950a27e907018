"""Latency of one recommendation over HTTP, beside the emptiest route of the same server (`make bench-serve`).

One client on one connection, so this is service time, not behaviour under load. Each of the repetitions asks both
routes in turn; the value is the median over the repetitions, since absolute times drift and ratios within a run do not.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable

import duckdb
import httpx
from rich.console import Console

from benchmarks.report import Figure, report
from commands.processes import ProcessError, Processes
from commands.services import api_url, child_environment, require_free_ports, served_version, wait_until
from freshet.settings import load_settings

REPETITIONS = 7
REQUESTS = 300


def main() -> None:
    """Start the API over the current home, measure, stop it."""
    settings = load_settings()
    exports = settings.features_dir / "fct_training_sequences.parquet"
    if not exports.exists():
        sys.exit(f"freshet: {exports} is missing: run `make run ONCE=1` first")
    users = duckdb.sql("select user_id from read_parquet($p) limit 200", params={"p": str(exports)}).fetchall()
    processes = Processes(settings.home)
    try:
        require_free_ports(settings)
        serve = [sys.executable, "-m", "commands.main", "serve"]
        processes.start("api", serve, {**os.environ, **child_environment(settings)})
        wait_until("the API", lambda: served_version(settings) is not None, 120, processes)
        with httpx.Client(base_url=api_url(settings)) as api:
            figures = _measure(api, [row[0] for row in users])
    except ProcessError as error:
        sys.exit(f"freshet: {error}")
    finally:
        processes.stop()
    Console().print(f"written to {report('serve', figures, settings.home)}")


def _measure(api: httpx.Client, users: list[str]) -> list[Figure]:
    def recommend(index: int) -> None:
        api.get(f"/v1/users/{users[index % len(users)]}/recommendations").raise_for_status()

    def empty(_: int) -> None:
        api.get("/healthz").raise_for_status()

    _milliseconds(recommend), _milliseconds(empty)  # warm up
    rounds = [(_milliseconds(recommend), _milliseconds(empty)) for _ in range(REPETITIONS)]
    series = {
        ("recommendation p50", "ms"): [recommended[0] for recommended, _ in rounds],
        ("recommendation p99", "ms"): [recommended[1] for recommended, _ in rounds],
        ("empty route p50", "ms"): [empty_[0] for _, empty_ in rounds],
        ("recommendation / empty route, p50", "ratio"): [r[0] / e[0] for r, e in rounds],
    }
    return [
        Figure(name, statistics.median(values), unit, (min(values), max(values)))
        for (name, unit), values in series.items()
    ]


def _milliseconds(ask: Callable[[int], None]) -> tuple[float, float]:
    """The median and 99th percentile of REQUESTS sequential requests."""
    took = []
    for index in range(REQUESTS):
        began = time.perf_counter()
        ask(index)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return statistics.median(took), took[int(0.99 * len(took))]


if __name__ == "__main__":
    main()
