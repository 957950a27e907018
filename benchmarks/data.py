"""Rows per second from simulated events to online features, and what one per cent of news costs (`make bench-data`).

A world of EVENTS events (default 10 million) is ingested but for its last days, of about one per cent each; built and
filled from nothing; and then each of those days is ingested, built and filled, as every night would. Each stage is a
process of its own, so that its peak memory is its own. What one per cent costs is compared with the full run.
"""

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from rich.console import Console
from tqdm import tqdm

from benchmarks.cost import MEGABYTE, Cost, run_freshet
from benchmarks.report import Figure, report
from freshet.memory import peak_bytes
from freshet.settings import load_settings
from ingestion.datasets.demo import demo_batches
from ingestion.ingest import world_config
from ingestion.lake import Lake
from ingestion.landing import RawBatch
from ingestion.simulator_world import WorldConfig

EVENTS = 10_000_000
DAYS, NEWS_DAYS = 102, 3
EVENTS_PER_USER, EVENTS_PER_ITEM = 75, 500
"""As many events a user as in the default world, over a catalogue that does not grow with the events as fast."""
SOURCE = "demo"


def main() -> None:
    """Measure in a home of its own below the bench folder; a finished ingestion is not done again."""
    settings = load_settings()
    n_events = int(os.environ.get("EVENTS", EVENTS))
    home = settings.home / "bench" / f"data-{n_events}"
    config = replace(
        world_config(settings),
        n_events=n_events,
        n_days=DAYS,
        n_users=max(n_events // EVENTS_PER_USER, 50),
        n_items=max(n_events // EVENTS_PER_ITEM, 100),
    )
    Console().print(f"{config} in {home}")
    figures = list(_measure(home, config))
    Console().print(f"written to {report('data', figures, settings.home)}")


def _measure(home: Path, config: WorldConfig) -> Iterator[Figure]:
    lake = Lake(home / "lake")
    days = demo_batches(config, home / "truth")
    ingested = _ingest(lake, "history", islice(days, DAYS - NEWS_DAYS + 1), config)
    n_history = _n_accepted(lake, "history")
    yield _rate("ingest_rows_per_s", n_history, ingested.seconds)
    full = _run(home, "transform", "--full-refresh")
    yield _rate("transform_full_rows_per_s", n_history, full.seconds)
    filled = _run(home, "features")
    yield _rate("features_full_rows_per_s", n_history, filled.seconds)
    whole = full + filled
    yield _one("full_run_s", whole.seconds, "s")
    yield _one("full_run_cpu_s", whole.cpu_seconds, "s")
    yield _one("peak_memory_mb", (ingested + whole).peak_bytes / MEGABYTE, "MB")

    shares, transforms, features = [], [], []
    for number, day in enumerate(islice(days, NEWS_DAYS), start=1):
        name = f"news-{number}"
        _ingest(lake, name, iter([day]), config)
        shares.append(_n_accepted(lake, name) / n_history)
        transforms.append(_run(home, "transform"))
        features.append(_run(home, "features"))
    both = [transform + fill for transform, fill in zip(transforms, features, strict=True)]
    yield _median("news_share", shares, "of the history")
    yield _median("transform_news_s", [cost.seconds for cost in transforms], "s")
    yield _median("features_news_s", [cost.seconds for cost in features], "s")
    yield _median("news_cpu_s", [cost.cpu_seconds for cost in both], "s")
    yield _median("news_vs_full", [cost.seconds / whole.seconds for cost in both], "ratio")
    yield _median("news_vs_full_cpu", [cost.cpu_seconds / whole.cpu_seconds for cost in both], "ratio")


def _ingest(lake: Lake, ingestion_id: str, parts: Iterator[Iterator[RawBatch]], config: WorldConfig) -> Cost:
    """Land the parts as one ingestion; those of one that is in the ledger already are only lived through."""
    began, cpu_began = time.perf_counter(), time.process_time()
    if lake.entry(ingestion_id) is not None:
        for _ in parts:
            pass
        return Cost(time.perf_counter() - began, time.process_time() - cpu_began, 0)
    with lake.ingestion(SOURCE, str(config)) as ingestion:
        for batch in tqdm(chain.from_iterable(parts), desc=ingestion_id, unit=" batches", disable=None):
            ingestion.staging.land(batch)
        ingestion.commit(ingestion_id)
    return Cost(time.perf_counter() - began, time.process_time() - cpu_began, peak_bytes())


def _run(home: Path, *arguments: str) -> Cost:
    """One command of Freshet on this home, and what it took, said as well."""
    cost = run_freshet(home, *arguments)
    said = f"freshet {' '.join(arguments)}: {cost.seconds:.1f} s, of processors {cost.cpu_seconds:.1f} s"
    Console().print(said, highlight=False)
    return cost


def _n_accepted(lake: Lake, ingestion_id: str) -> int:
    entry = lake.entry(ingestion_id)
    assert entry is not None
    return sum(counts.n_accepted for counts in entry.counts)


def _rate(name: str, rows: int, seconds: float) -> Figure:
    return _one(name, rows / seconds, "rows/s")


def _one(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, (value, value))


def _median(name: str, values: list[float], unit: str) -> Figure:
    return Figure(name, statistics.median(values), unit, (min(values), max(values)))


if __name__ == "__main__":
    main()
