"""Every baseline gets its settings on the same validation targets with the same number of trials, then is fitted anew.

A trial is one setting judged by NDCG@10. The search goes through the settings of a baseline one after the other, tries
every value of each beside the best so far, and goes round until nothing changes or the trials are used up. SASRec is
the exception: a trial of it is a whole training, every epoch of which is judged, so it gets few.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from freshet.files import write_text
from training.baseline_families import (
    FAMILIES,
    LINEAR,
    READ_AT_SCORING,
    Grid,
    Material,
    Settings,
    fit_baseline,
    read_with,
)
from training.evaluate import Scorer, quality
from training.snapshot import Targets
from training.time_budget import ENDLESS, best_of, is_over, share

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Budget:
    """The same for every baseline."""

    trials: int = 30
    trainings: int = 3
    """Of SASRec."""
    epochs: int = 15
    """Of each, at most."""
    until: float = ENDLESS
    """After this moment (``time.monotonic``) no further setting is tried; until then each has the same time."""


QUICK = Budget(trials=14)
"""For every training run; ``freshet evaluate`` takes more."""


@dataclass(frozen=True)
class BaselineChoices:
    """The tuned settings of the baselines by name, and what they were worth on validation."""

    settings: dict[str, Settings] = field(default_factory=dict)
    ndcg_at_10: dict[str, float] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Of tuning."""

    def save(self, path: Path) -> None:
        """Write at once or not at all."""
        write_text(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> "BaselineChoices":
        """Read what ``save`` wrote; nothing where there is nothing."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()


def choose_baselines(
    material: Material, targets: Targets, names: Sequence[str], budget: Budget, path: Path | None = None
) -> BaselineChoices:
    """Tune each baseline on the targets. With ``path`` every finished one is kept there, and not tuned again."""
    found = BaselineChoices.load(path) if path is not None else BaselineChoices()
    left = [name for name in names if name not in found.settings]
    for number, name in enumerate(left):
        started = time.perf_counter()
        its_own = replace(budget, until=share(budget.until, 1 / (len(left) - number)))
        settings, ndcg, trials = _choose(name, found, material, targets, its_own)
        found.settings[name], found.ndcg_at_10[name], found.trials[name] = settings, ndcg, trials
        found.seconds[name] = round(time.perf_counter() - started, 1)
        logger.info("tuned a baseline", extra={"baseline": name, "ndcg_at_10": round(ndcg, 5), **settings})
        if path is not None:
            found.save(path)
    return found


def fit_baselines(material: Material, choices: BaselineChoices) -> dict[str, Scorer]:
    """All tuned baselines on the training events of another snapshot."""
    return {name: fit_baseline(name, settings, material) for name, settings in choices.settings.items()}


def search(
    grid: Grid,
    judge: Callable[[Settings], float],
    trials: int,
    given: Settings | None = None,
    until: float = ENDLESS,
) -> tuple[Settings, float, int]:
    """The best settings found, what they are worth, and the number of trials used."""
    judged: dict[tuple[float, ...], float] = {}
    best = {name: values[0] for name, values in grid.items()}

    def worth(option: Mapping[str, float]) -> float:
        key = tuple(option[name] for name in grid)
        if key not in judged:
            may_try = not judged or (len(judged) < trials and not is_over(until))
            judged[key] = judge({**(given or {}), **option}) if may_try else -math.inf
        return judged[key]

    before: dict[str, float] | None = None
    worth(best)
    while best != before and len(judged) < trials:
        before = best
        for name, values in grid.items():
            best, _ = best_of([best, *({**best, name: value} for value in values if value != best[name])], worth)
    return {**(given or {}), **best}, worth(best), sum(map(math.isfinite, judged.values()))


def _choose(
    name: str, found: BaselineChoices, material: Material, targets: Targets, budget: Budget
) -> tuple[Settings, float, int]:
    family = FAMILIES[name]
    if name == "sasrec":
        return _choose_sasrec(family.grid, found, material, targets, budget)
    given: Settings = {}
    if name == "linear_and_trend":
        base = max((each for each in LINEAR if each in found.settings), key=lambda each: found.ndcg_at_10[each])
        given = {**found.settings[base], "base": base}
    elif family.grid:
        given = {"fallback_column": _better_popularity(found)}
    fitted: dict[tuple[tuple[str, Any], ...], Scorer] = {}

    def judge(settings: Settings) -> float:
        fixed = tuple(sorted((key, value) for key, value in settings.items() if key not in READ_AT_SCORING))
        if fixed not in fitted:
            fitted.clear()  # one at a time: these can be large
            fitted[fixed] = family.fit(material, settings)
        return quality(read_with(fitted[fixed], settings), material.snapshot, targets, material.seed)

    return search(family.grid, judge, budget.trials, given, budget.until)


def _better_popularity(found: BaselineChoices) -> int:
    """The column that users without history are shown: the week or all time, whichever did better."""
    week, all_time = (found.ndcg_at_10.get(name, 0.0) for name in ("popularity_7d", "popularity"))
    return 1 if week > all_time else 3


def _choose_sasrec(
    grid: Grid, found: BaselineChoices, material: Material, targets: Targets, budget: Budget
) -> tuple[Settings, float, int]:
    from training.sasrec import choose_epochs, sasrec_config

    column = _better_popularity(found)
    epochs: dict[tuple[float, ...], int] = {}

    def judge(settings: Settings) -> float:
        size, dropout = int(settings["embedding_size"]), settings["dropout"]
        config = sasrec_config(size, dropout, material.snapshot.n_items)
        folder = material.folder / f"sasrec_{size}_{dropout}"
        trained = choose_epochs(material.snapshot, targets, config, budget.epochs, folder, material.seed)
        epochs[(size, dropout)] = trained.best_epoch
        return max(point["ndcg_at_10"] for point in trained.curve)

    best, ndcg, trials = search(grid, judge, budget.trainings)
    best |= {"epochs": epochs[(int(best["embedding_size"]), best["dropout"])], "fallback_column": column}
    return best, ndcg, trials
