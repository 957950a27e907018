"""How fast Freshet answers and takes events in, beside an empty route of the same framework.

`make bench-serve`, or `make bench-serve ITEMS=10000,100000` for other sizes, which nobody has measured yet. Homes are
made once, below ``$FRESHET_HOME/bench``. Every figure is the median of several rounds, in which whatever is compared
takes turns: absolute times drift on a shared machine, and ratios within a round do not.

Latency is measured in open loop at half of the rate that the server can carry, from the moment each request was due.
"""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from benchmarks import off_the_shelf, serve_events
from benchmarks.load import LoadError, Plan, percentile, run_load
from benchmarks.load import get as http_get
from benchmarks.report import Figure, report
from benchmarks.serve_targets import Server, empty_route, freshet, start_worker
from commands.processes import ProcessError
from freshet.settings import load_settings

SIZES = {10_000: "10k", 100_000: "100k", 1_000_000: "1m"}
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = float(os.environ.get("SECONDS_A_ROUND", "6"))
CONNECTIONS = 8
"""In closed loop: enough that the server never waits for a question."""
KNOWN_QUERIES = 50

console = Console()


def main() -> None:
    """Make the homes, measure each, write the figures."""
    settings = load_settings()
    wanted = [int(size) for size in os.environ.get("ITEMS", str(min(SIZES))).split(",")]
    if unknown := sorted(set(wanted) - set(SIZES)):
        sys.exit(f"freshet: ITEMS={unknown[0]} is no size of this benchmark: choose from {[*SIZES]}")
    figures: list[Figure] = []
    try:
        for n_items in wanted:
            home = settings.home / "bench" / f"serve-{n_items}"
            make_home(home, n_items)
            figures.extend(_measure(home, n_items))
    except (ProcessError, LoadError) as error:
        sys.exit(f"freshet: {error}")
    finally:
        if figures:  # those of what was measured before something failed, too
            console.print(f"written to {report('serve', figures, settings.home)}")


def make_home(home: Path, n_items: int) -> None:
    """In a process of its own: what making it takes in memory is not there while measuring."""
    console.print(f"{n_items:,} items in {home}", highlight=False)
    home.parent.mkdir(parents=True, exist_ok=True)
    log = home.with_suffix(".log")
    with log.open("w") as output:
        command = [sys.executable, "-m", "benchmarks.serve_world", str(home), str(n_items)]
        if subprocess.run(command, check=False, stdout=output, stderr=output).returncode != 0:
            raise ProcessError(f"the home could not be made: see {log}")
    shutil.rmtree(home / "log", ignore_errors=True)  # every run begins without events and live items


def _measure(home: Path, n_items: int) -> Iterator[Figure]:
    name = SIZES[n_items]
    is_smallest = n_items == min(SIZES)
    if is_smallest:
        yield from _starts(home)
    with freshet(home) as api, empty_route(home) as empty:
        _warm_up(api, empty)
        yield from _throughput(api, empty, name if not is_smallest else "")
        rate = _saturation(api, SECONDS) / 2
        yield from _latency(api, rate, name)
        yield from _asked_again(api, name)
        if is_smallest:
            yield from _queries(api)
            yield from _events(api, n_items)
        yield _median(f"item_put_ms_{name}", serve_events.items_put(api.port), "ms")
        yield _one(f"rss_mb_{name}", api.memory_mb, "MB")
        yield _one(f"mapped_mb_{name}", api.mapped_mb, "MB")
        if is_smallest:
            yield from _with_a_worker_of_its_own(home, api, n_items)
    if is_smallest:
        yield from _beside_off_the_shelf(home)


def _starts(home: Path) -> Iterator[Figure]:
    """Time to ready, and how fast those are answered who ask at once; the first start also fetches the model."""
    taken, slowest = [], []
    for start in range(3):
        with freshet(home) as api:
            taken.append(api.ready_s)
            load = run_load(Plan(api.port, serve_events.recommendations(), 5.0, rate=50, seed=start))
            slowest.append(percentile(load.latencies_ms, 0.99))
    yield _median("ready_s", taken, "s")
    yield _median("p99_ms_after_start", slowest, "ms")


def _warm_up(api: Server, empty: Server) -> None:
    run_load(Plan(api.port, serve_events.recommendations(), 3.0, connections=CONNECTIONS))
    run_load(Plan(empty.port, [http_get("/")], 1.0, connections=CONNECTIONS))


def _saturation(api: Server, seconds: float) -> float:
    return run_load(Plan(api.port, serve_events.recommendations(), seconds, connections=CONNECTIONS)).per_second


def _throughput(api: Server, empty: Server, suffix: str) -> Iterator[Figure]:
    """Answers per second in closed loop, beside those of the empty route."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_saturation(api, SECONDS / 2))
        theirs.append(run_load(Plan(empty.port, [http_get("/")], SECONDS / 2, connections=CONNECTIONS)).per_second)
    ending = f"_{suffix}" if suffix else ""
    yield _median(f"saturation_per_s{ending}", ours, "answers/s")
    yield _median(f"empty_route_per_s{ending}", theirs, "answers/s")
    ratios = [each / other for each, other in zip(ours, theirs, strict=True)]
    yield _median(f"throughput_vs_empty_route{ending}", ratios, "ratio")


def _latency(api: Server, rate: float, name: str) -> Iterator[Figure]:
    loads = [
        run_load(Plan(api.port, serve_events.recommendations(), SECONDS, rate=rate, seed=round_, first=round_ * 500))
        for round_ in range(ROUNDS)
    ]
    late = statistics.median(percentile(load.late_ms, 0.99) for load in loads)
    console.print(f"asked {rate:.0f} times a second; the generator itself was late by {late:.2f} ms at p99")
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        yield _median(f"{label}_ms_{name}", [percentile(load.latencies_ms, share) for load in loads], "ms")


def _asked_again(api: Server, name: str) -> Iterator[Figure]:
    """The same for users of whom nothing is new since their last list: loaded anew, it is the list of before."""
    again = serve_events.recommendations_again()
    run_load(Plan(api.port, again, SECONDS * 2, connections=CONNECTIONS))  # every list is made
    carried, slowest = [], []
    for round_ in range(ROUNDS):
        load = run_load(Plan(api.port, again, SECONDS / 2, connections=CONNECTIONS))
        carried.append(load.per_second)
        load = run_load(Plan(api.port, again, SECONDS, rate=load.per_second / 2, seed=round_, first=round_ * 500))
        slowest.append(percentile(load.latencies_ms, 0.99))
    yield _median(f"saturation_per_s_{name}_again", carried, "answers/s")
    yield _median(f"p99_ms_{name}_again", slowest, "ms")


def _queries(api: Server) -> Iterator[Figure]:
    """Searches by words that nobody has used before, and by known ones; in open loop at half of what is carried."""
    known = serve_events.searches(range(KNOWN_QUERIES))
    run_load(Plan(api.port, known, SECONDS, connections=2))  # the language model, the index of names, and the memory
    cold, cached, asked = [], [], KNOWN_QUERIES
    for round_ in range(ROUNDS):
        new = serve_events.searches(range(asked, asked + 2_000))
        load = run_load(Plan(api.port, new, SECONDS / 2, connections=2))
        n_used = len(load.latencies_ms)
        load = run_load(Plan(api.port, new, SECONDS, rate=load.per_second / 2, seed=round_, first=n_used))
        asked += n_used + len(load.latencies_ms)
        cold.append(percentile(load.latencies_ms, 0.99))
        run_load(Plan(api.port, known, SECONDS / 2, connections=2))
        rate = run_load(Plan(api.port, known, SECONDS / 2, connections=CONNECTIONS)).per_second / 2
        load = run_load(Plan(api.port, known, SECONDS, rate=rate, seed=round_))
        cached.append(percentile(load.latencies_ms, 0.99))
    yield _median("query_p99_ms_cold", cold, "ms")
    yield _median("query_p99_ms_cached", cached, "ms")


def _beside_off_the_shelf(home: Path) -> Iterator[Figure]:
    """The chain that one would put together of Feast's and MLflow's own servers."""
    ours, theirs = [], []
    with freshet(home) as api, off_the_shelf.chain(home) as chain:
        for _ in range(ROUNDS):
            ours.append(_saturation(api, SECONDS / 2))
            theirs.append(off_the_shelf.lists_per_second(chain, SECONDS))
    yield _median("off_the_shelf_per_s", theirs, "answers/s")
    ratios = [each / other for each, other in zip(ours, theirs, strict=True)]
    yield _median("throughput_vs_off_the_shelf", ratios, "ratio")


def _events(api: Server, n_items: int) -> Iterator[Figure]:
    single, batched = [], []
    for _ in range(ROUNDS):
        single.append(serve_events.single_events(api.port, n_items, SECONDS / 2))
        batched.append(serve_events.batched_events(api.port, n_items, SECONDS / 2))
        serve_events.wait_for_worker(api.port)
    yield _median("events_per_s_single", single, "events/s")
    yield _median("events_per_s_batched", batched, "events/s")
    yield from _freshness(api, n_items)


def _with_a_worker_of_its_own(home: Path, api: Server, n_items: int) -> Iterator[Figure]:
    """How soon events are visible where ``freshet nearline`` folds them, in an interpreter of its own."""
    start_worker(home, api)
    yield from _freshness(api, n_items, "_own_worker")


def _freshness(api: Server, n_items: int, suffix: str = "") -> Iterator[Figure]:
    found = [serve_events.freshness(api.port, n_items, 2 * SECONDS, seed) for seed in range(ROUNDS)]
    yield _median(f"event_to_visible_p99_ms{suffix}", serve_events.visible_p99(found), "ms")
    asked, stale = sum(each.asked_with_token for each in found), sum(each.stale for each in found)
    console.print(f"{stale} of {asked} answers with a token were stale")
    yield _one(f"stale_with_token{suffix}", stale, "answers")


def _one(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, (value, value))


def _median(name: str, values: list[float], unit: str) -> Figure:
    return Figure(name, statistics.median(values), unit, (min(values), max(values)))


if __name__ == "__main__":
    main()
