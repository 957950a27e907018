"""The kinds of baselines: what can be set in each, and how it is fitted with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.baselines import (
    OwnHistory,
    Popularity,
    TextNeighbours,
    WithFallback,
    WithTrend,
    evenly,
    fit_ease,
    fit_item_knn,
)
from training.evaluate import Scorer
from training.snapshot import Snapshot

Settings = dict[str, Any]
Grid = Mapping[str, Sequence[float]]
DECAYS = (0.8, 0.9, 0.6, 0.7, 0.94, 0.5, 0.98, 0.4, 1.0, 0.3)
"""Factors per item of age; the first value of every list is where the search starts."""


@dataclass(frozen=True)
class Material:
    """What a baseline may be made from."""

    snapshot: Snapshot
    vectors: NDArray[np.float32]  # (V, E) whitened text
    folder: Path
    """For checkpoints of what takes long."""
    seed: int


@dataclass(frozen=True)
class Family:
    """A kind of baseline: what can be set, and how it is fitted with it."""

    grid: Grid
    fit: Callable[[Material, Settings], Scorer]


def _popularity(column: int) -> Family:
    return Family({}, lambda material, settings: Popularity(column))


def _fit_ease(material: Material, settings: Settings) -> Scorer:
    snapshot = material.snapshot
    return fit_ease(snapshot.training, snapshot.n_items, settings["ridge"], evenly(settings["decay"]))


def _fit_item_knn(material: Material, settings: Settings) -> Scorer:
    snapshot = material.snapshot
    return fit_item_knn(
        snapshot.training,
        snapshot.n_items,
        settings["shrinkage"],
        evenly(settings["decay"]),
        int(settings["neighbours"]),
    )


def _fit_rp3beta(material: Material, settings: Settings) -> Scorer:
    from training.irspack_baselines import fit_rp3beta

    snapshot, decay = material.snapshot, evenly(settings["decay"])
    return fit_rp3beta(snapshot.training, snapshot.n_items, settings["beta"], int(settings["neighbours"]), decay)


def _fit_ials(material: Material, settings: Settings) -> Scorer:
    from training.irspack_baselines import fit_ials

    return fit_ials(
        material.snapshot.training,
        material.snapshot.n_items,
        int(settings["embedding_size"]),
        settings["unobserved_weight"],
        settings["regularization"],
        evenly(settings["decay"]),
        material.seed,
    )


def _fit_sasrec(material: Material, settings: Settings) -> Scorer:
    from training.sasrec import fit_sasrec, sasrec_config

    n_items = material.snapshot.n_items
    config = sasrec_config(int(settings["embedding_size"]), settings["dropout"], n_items)
    return fit_sasrec(material.snapshot, config, settings["epochs"], material.folder / "sasrec", material.seed)


def _fit_with_trend(material: Material, settings: Settings) -> Scorer:
    base = FAMILIES[settings["base"]].fit(material, settings)
    return WithTrend(base, settings["trend_weight"], int(settings["trend_column"]))


FAMILIES: dict[str, Family] = {
    "popularity": _popularity(3),
    "popularity_7d": _popularity(1),
    "text_knn": Family(
        {"decay": DECAYS}, lambda material, settings: TextNeighbours(material.vectors, evenly(settings["decay"]))
    ),
    "item_knn": Family(
        {
            "decay": DECAYS,
            "neighbours": (100, 20, 50, 200, 1_000),
            "shrinkage": (10.0, 0.0, 3.0, 30.0, 100.0, 300.0),
        },
        _fit_item_knn,
    ),
    "rp3beta": Family(
        {"decay": DECAYS, "beta": (0.4, 0.0, 0.2, 0.3, 0.5, 0.6, 0.8), "neighbours": (200, 50, 100, 500, 2_000)},
        _fit_rp3beta,
    ),
    "ease": Family({"ridge": (200.0, 10.0, 30.0, 60.0, 100.0, 300.0, 500.0, 1_000.0), "decay": DECAYS}, _fit_ease),
    "ials": Family(
        {
            "decay": DECAYS,
            "embedding_size": (128, 256, 64, 32),
            "unobserved_weight": (0.03, 0.01, 0.1, 0.3, 1.0),
            "regularization": (0.003, 0.0003, 0.001, 0.01, 0.03),
        },
        _fit_ials,
    ),
    "own_history": Family({"decay": DECAYS}, lambda material, settings: OwnHistory(evenly(settings["decay"]))),
    "sasrec": Family({"dropout": (0.2, 0.4), "embedding_size": (64, 128)}, _fit_sasrec),
    "linear_and_trend": Family(
        {"trend_weight": (0.3, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0), "trend_column": (1, 0, 2)}, _fit_with_trend
    ),
}
READ_AT_SCORING = ("decay", "trend_weight", "trend_column", "fallback_column")
"""Settings that need no new fit."""
LINEAR = ("item_knn", "rp3beta", "ease", "ials", "own_history")
EVERY_RUN = ("popularity", "popularity_7d", "item_knn", "ease")
"""What a training run is judged beside; the others take too long for every week."""


def baselines_for(snapshot: Snapshot) -> tuple[str, ...]:
    """All that make sense: a user's own history only where repeats are asked for."""
    return tuple(name for name in FAMILIES if name != "own_history" or snapshot.with_repeats)


def fit_baseline(name: str, settings: Settings, material: Material) -> Scorer:
    """One baseline as it was chosen."""
    return read_with(FAMILIES[name].fit(material, settings), settings)


def read_with(model: Scorer, settings: Settings) -> Scorer:
    """A fitted model with what costs no fit."""
    if isinstance(model, WithTrend):
        return WithTrend(model.model, settings["trend_weight"], int(settings["trend_column"]))
    if "decay" in settings:
        model = replace(model, recency=evenly(settings["decay"]))  # type: ignore[type-var]
    return WithFallback(model, settings["fallback_column"]) if "fallback_column" in settings else model
