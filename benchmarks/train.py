"""Training grows with the events as a straight line does: what it costs by their number (`make bench-train`).

Worlds of EVENTS events with the same number of items (WORLD_ITEMS) and of days are simulated, transformed and trained
on, each training a process of its own. The exponent of a stage is the slope of log seconds on log events: 1 is a
straight line, 2 would be a square, and 0 is what does not depend on events at all, such as reading items' texts or
choices that look at a fixed number of events. Then the item-item head alone, on catalogues of ITEMS items: dense up to
12,000 of them, beyond that the most met 12,000 and every other item joined to those. What has been measured is kept
below the bench folder and not measured again; a training that was killed begins anew, so that its seconds are whole.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from tqdm import tqdm

from benchmarks.cost import MEGABYTE, run_freshet, run_module
from benchmarks.item_item import N_EVENTS as ITEM_ITEM_EVENTS
from benchmarks.report import Figure, report
from freshet.settings import load_settings

EVENTS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
ITEMS = (10_000, 100_000, 1_000_000)
N_DAYS = 60
WORLD_ITEMS = 2_000
EVENTS_PER_USER = 75
"""As in the default world, whose users grow with the events."""
STAGES = {
    "validation": "choose",
    "choose": "choose",
    "test": "judge",
    "final": "fit",
    "write bundle": "fit",
}
"""The stages of training that steps belong to, by how their names begin."""

Measured = dict[str, dict[str, float]]
"""Seconds, processor seconds and peak bytes by stage."""


def main() -> None:
    """One size after the other, the smallest first."""
    settings = load_settings()
    n_items = int(os.environ.get("WORLD_ITEMS", WORLD_ITEMS))
    folder = settings.home / "bench" / ("train" if n_items == WORLD_ITEMS else f"train-{n_items}")
    plot = Path(os.environ.get("PLOT", settings.home / "bench" / "train.png"))
    sizes, catalogues = _sizes("EVENTS", EVENTS), _sizes("ITEMS", ITEMS)
    training: dict[int, Measured] = {}
    for size in tqdm(sizes, desc="trainings", unit="world", disable=None):
        training[size] = _kept(
            folder / f"events-{size}.json", lambda out, size=size: _train(folder, size, n_items, out)
        )
        _say(f"{size:,} events", training[size])
    item_item: dict[int, Measured] = {}
    for size in tqdm(catalogues, desc="item-item heads", unit="catalogue", disable=None):
        item_item[size] = _kept(folder / f"items-{size}.json", lambda out, size=size: _fit(folder, size, out))
        _say(f"{size:,} items", item_item[size])
    if len(sizes) > 1:
        _draw(training, plot)
    Console().print(f"written to {report('train', _figures(training, item_item), settings.home)}; plot: {plot}")


def _sizes(name: str, usual: tuple[int, ...]) -> list[int]:
    given = os.environ.get(name)
    return sorted(int(size) for size in given.split(",")) if given else list(usual)


def _kept(path: Path, measure: Any) -> Measured:
    """What the file says, or what ``measure`` writes into it."""
    if not path.exists():
        measure(path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    kept: Measured = json.loads(path.read_text())
    return kept


def _train(folder: Path, n_events: int, n_items: int, out: Path) -> None:
    """Make the world unless it is there, and train on it from nothing."""
    home = folder / f"events-{n_events}"
    world = {
        "demo_events": n_events,
        "demo_users": max(n_events // EVENTS_PER_USER, 50),
        "demo_items": n_items,
        "demo_days": N_DAYS,
    }
    run_freshet(home, "ingest", "demo", **world)  # nothing to do where it is in the lake already
    run_freshet(home, "transform", **world)
    for made in ("models", "mlflow"):
        shutil.rmtree(home / made, ignore_errors=True)
    whole = run_freshet(home, "train", "--no-promote", **world)
    (work,) = (home / "models" / "training").iterdir()
    costs = json.loads((work / "costs.json").read_text())
    by_stage: Measured = {}
    for step, stage in ((step, STAGES.get(step.partition(":")[0])) for step in costs["seconds"]):
        if stage is not None:
            before = by_stage.get(stage, {"seconds": 0.0, "cpu_seconds": 0.0, "peak_bytes": 0.0})
            by_stage[stage] = {
                "seconds": before["seconds"] + costs["seconds"][step],
                "cpu_seconds": before["cpu_seconds"] + costs["cpu_seconds"][step],
                "peak_bytes": max(before["peak_bytes"], costs["peak_bytes"][step]),
            }
    peak = max(costs["peak_bytes"].values())
    # Reading items' texts, starting and logging are in the whole alone.
    total = {"seconds": whole.seconds, "cpu_seconds": whole.cpu_seconds, "peak_bytes": peak}
    out.write_text(json.dumps({**by_stage, "whole": total}))


def _fit(folder: Path, n_items: int, out: Path) -> None:
    took = out.with_suffix(".fit")
    run_module("benchmarks.item_item", str(n_items), str(ITEM_ITEM_EVENTS), str(took.resolve()), home=folder)
    out.write_text(json.dumps({"item-item": json.loads(took.read_text())}))
    took.unlink()


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The least-squares slope of log seconds on log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _figures(training: dict[int, Measured], item_item: dict[int, Measured]) -> list[Figure]:
    figures = [
        figure
        for unit, measured in (("events", training), ("items", item_item))
        for size, by_stage in measured.items()
        for stage, took in by_stage.items()
        for figure in (
            _one(f"{stage}_s at {size} {unit}", took["seconds"], "s"),
            _one(f"{stage}_cpu_s at {size} {unit}", took["cpu_seconds"], "s"),
            _one(f"{stage}_peak_mb at {size} {unit}", took["peak_bytes"] / MEGABYTE, "MB"),
        )
    ]
    if len(training) < 2:
        return figures
    sizes = list(training)
    for stage in training[sizes[0]]:
        for kind, name in (("seconds", "exponent"), ("cpu_seconds", "cpu_exponent")):
            took = [training[size][stage][kind] for size in sizes]
            slopes = [exponent(sizes[i : i + 2], took[i : i + 2]) for i in range(len(sizes) - 1)]
            figures.append(Figure(f"{stage}_{name}", exponent(sizes, took), "", (min(slopes), max(slopes))))
    return figures


def _one(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, (value, value))


def _say(title: str, measured: Measured) -> None:
    parts = ", ".join(
        f"{stage} {took['seconds']:.1f} s and {took['peak_bytes'] / MEGABYTE:.0f} MB"
        for stage, took in measured.items()
    )
    Console().print(f"{title}: {parts}", highlight=False, soft_wrap=True)


def _draw(training: dict[int, Measured], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(9, 3.8), layout="constrained")
    left, right = plot.subplots(1, 2)
    sizes = list(training)
    for stage in training[sizes[0]]:
        seconds = [training[size][stage]["cpu_seconds"] for size in sizes]
        left.loglog(sizes, seconds, marker="o", label=f"{stage}: exponent {exponent(sizes, seconds):.2f}")
        peaks = [training[size][stage]["peak_bytes"] / MEGABYTE for size in sizes]
        right.semilogx(sizes, peaks, marker="o", label=stage)
    whole = training[sizes[-1]]["whole"]["cpu_seconds"]
    straight = [whole * size / sizes[-1] for size in sizes]
    left.loglog(sizes, straight, color="tab:gray", linestyle=":", label="a straight line")
    left.set(xlabel="events", ylabel="processor seconds", title="Training by number of events")
    right.set(xlabel="events", ylabel="peak memory, MB", ylim=(0, None), title="Memory")
    for axes in (left, right):
        axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(plot).print_png(str(path))


if __name__ == "__main__":
    main()
