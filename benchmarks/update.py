"""What nightly updates keep of a whole training, and what they cost (`make bench-update`).

The demo world lives on for DAYS days. Every night the model of the first evening is updated, and a whole new one is
trained, each on what was known then; both, and the model of the first evening as it was, are judged on what people
meet for the first time on the next day. A run that was killed goes on where it was.
"""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.report import Figure, report
from freshet.dbt_project import build_marts
from freshet.exports import marts_are_behind
from freshet.feature_store import apply
from freshet.settings import Settings
from ingestion.ingest import ingest_dataset, world_config
from training import metrics, registry
from training.bundle import load_bundle
from training.config import TrainConfig, load_config
from training.dataset import Marts, read_marts
from training.evaluate import Each, Evaluation, Scorer, evaluate
from training.train import train
from training.variants import Translated

DAYS = 14
FROZEN, UPDATED, RETRAINED = "as on the first evening", "updated every night", "trained anew every night"
MODELS = (FROZEN, UPDATED, RETRAINED)
_RESAMPLES = 2_000


@dataclass(frozen=True)
class Day:
    """One day's lists, and what the night before it took."""

    date: datetime
    found: Evaluation
    seconds: dict[str, float]


def main() -> None:
    """Ingest and transform once; then night after night."""
    settings, config = load_config()
    home = settings.home / "bench" / "update"
    plot = Path(os.environ.get("PLOT", settings.home / "bench" / "update.png"))
    settings = settings.model_copy(update={"home": home})
    ingest_dataset(settings, "demo")
    if marts_are_behind(home):
        build_marts(home)
    apply(home)
    days = _live(settings, config, int(os.environ.get("DAYS", DAYS)))
    _draw(days, plot)
    Console().print(f"written to {report('update', _figures(days), home.parent.parent)} and {plot}")


def _live(settings: Settings, config: TrainConfig, n_days: int) -> list[Day]:
    world, marts = world_config(settings), read_marts(settings.features_dir)
    first = world.start + timedelta(days=world.n_days - n_days - 1)
    start = train(settings, replace(config, as_of=_micros(first)), promote_if_better=False)
    updated, days = start.version, []
    for number in range(1, n_days + 1):
        midnight = first + timedelta(days=number)
        tonight = replace(config, as_of=_micros(midnight))
        update = train(settings, replace(tonight, update_of=updated), promote_if_better=False)
        whole = train(settings, tonight, promote_if_better=False)
        updated = update.version
        versions = {FROZEN: start.version, UPDATED: updated, RETRAINED: whole.version}
        found = _judged(settings, marts, versions, midnight, config.seed)
        took = {UPDATED: sum(update.seconds.values()), RETRAINED: sum(whole.seconds.values())}
        days.append(Day(midnight, found, took))
        figures = ", ".join(f"{name} {found.ndcg(name).mean():.4f}" for name in MODELS)
        costs = f"{took[UPDATED]:.0f} s instead of {took[RETRAINED]:.0f} s"
        Console().print(f"{midnight:%Y-%m-%d}: {figures}; {costs}", highlight=False, soft_wrap=True)
    return days


def _judged(settings: Settings, marts: Marts, versions: dict[str, int], midnight: datetime, seed: int) -> Evaluation:
    """All models on what people meet for the first time on the day that begins."""
    snapshot = marts.snapshot(_micros(midnight), seed, until=_micros(midnight + timedelta(days=1)))
    models: dict[str, Scorer] = {}
    for name, number in versions.items():
        version = registry.get_version(settings.tracking_uri, number)
        bundle = load_bundle(registry.download(version, settings.models_dir))
        models[name] = Translated.to(bundle.recommender, snapshot.item_ids)
    return evaluate(Each(models), snapshot, snapshot.targets(), seed, title=f"{midnight:%Y-%m-%d}")


def _figures(days: list[Day]) -> list[Figure]:
    ndcg = np.concatenate([np.stack([day.found.ndcg(name) for name in MODELS], axis=1) for day in days])
    users = np.concatenate([day.found.users() for day in days])
    means = metrics.bootstrap_means(ndcg, users, _RESAMPLES, seed=0)
    frozen, updated, retrained = ndcg.mean(axis=0)
    ratios = [day.seconds[UPDATED] / day.seconds[RETRAINED] for day in days]
    return [
        *(
            Figure(f"ndcg_at_10 {name}", float(ndcg[:, column].mean()), "", metrics.interval(means[:, column]))
            for column, name in enumerate(MODELS)
        ),
        Figure("update_vs_whole_ndcg", updated / retrained, "ratio", metrics.interval(means[:, 1] / means[:, 2])),
        Figure("frozen_vs_whole_ndcg", frozen / retrained, "ratio", metrics.interval(means[:, 0] / means[:, 2])),
        Figure("update_vs_whole_seconds", float(np.median(ratios)), "ratio", (min(ratios), max(ratios))),
        Figure("events", len(ndcg), "", (len(ndcg), len(ndcg))),
    ]


def _draw(days: list[Day], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(8, 3.5), layout="constrained")
    axes = plot.subplots()
    for name in MODELS:
        axes.plot([day.date for day in days], [day.found.ndcg(name).mean() for day in days], marker="o", label=name)
    axes.set_ylabel("NDCG@10 on the next day")
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", rotation=30)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(plot).print_png(str(path))


def _micros(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1e6)


if __name__ == "__main__":
    main()
