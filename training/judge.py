"""The judge: the recommender, its parts and every baseline on one protocol, in one table.

    splits_of          the protocol marks training, validation and test
    choose → refit     the recommender, as every training run makes it
    choose_baselines   the same validation targets, one budget; fitted anew like the model
    evaluate           everybody ranks everything from the same histories and the same popularity
    rows_of            intervals and differences over users, Holm over the baselines

What is made lies under ``models/evaluation/<key>``, where the key stands for configuration, protocol, budget and data:
the same call continues where it was killed.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.settings import Settings
from training import list_metrics
from training.baseline_families import LINEAR, baselines_for, fit_baseline
from training.baseline_tuning import BaselineChoices, choose_baselines
from training.bundle import git_commit
from training.comparison import WHOLE
from training.config import TrainConfig
from training.dataset import Marts, read_marts
from training.evaluate import COVERAGE_EVENTS, Each, Evaluation, K, ManyScorers, Scorer, evaluate
from training.judgement import Judgement, Plan
from training.model_size import numbers_in
from training.promotion import RECOMMENDER_NAME
from training.protocols import Split, splits_of
from training.ratings import RatingRow, Ratings, judge_ratings
from training.results_table import CUTS, ListFigures, per_user_of, rows_of
from training.slices import NEEDS_CLOCK, slices_of
from training.snapshot import Snapshot, Targets
from training.stages import Earlier, Stage, choose, prepare_stage, refit
from training.stopwatch import Stopwatch
from training.variants import PARTS, WITHOUT, Variants

logger = logging.getLogger(__name__)

_CODE = 7
"""Raised when the same plan on the same data would give other figures: what was kept from before is then not used."""


def judge(settings: Settings, config: TrainConfig, plan: Plan) -> tuple[Judgement, Path]:
    """The judgement, and the folder in which it, the table and the per-user values lie.

    Raises DatasetError where protocol and data do not fit, BackboneError, MissingLibraryError.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch comes: see training/train.py
    marts = read_marts(settings.features_dir, config.as_of)
    folder = settings.models_dir / "evaluation" / _key(config, plan, marts)
    done = folder / "judgement.json"
    if done.exists():
        logger.info("this has been judged: nothing to do", extra={"folder": str(folder)})
        return Judgement.load(done), folder
    protocol, splits = splits_of(plan.protocol, marts, config.seed)
    logger.info("judging", extra={"folder": str(folder), "protocol": protocol.name, "config": config.as_dict()})
    tried = [_on_split(split, marts, settings, config, plan, folder / split.name) for split in splits]
    _align([evaluation for each in tried for evaluation in each.evaluations])
    parts = _joined(tried, frozenset() if marts.has_clock else NEEDS_CLOCK)
    names = list(parts[WHOLE].figures)
    baselines = [name for name in names if name in tried[0].choices.settings]
    reference = _best_linear(tried[0].choices) if plan.baselines_only else RECOMMENDER_NAME
    of_lists = _averaged([found for each in tried for found in each.of_lists])
    coverage: dict[str, float | None] = {name: found["coverage"] for name, found in of_lists.items()}
    compared = [name for name in baselines if name != reference]
    judgement = Judgement(
        protocol=protocol.name,
        rule=protocol.rule,
        notes=[f"{split.name}: {split.note}" for split in splits if split.note],
        commit=git_commit(),
        content_hash=marts.content_hash,
        seeds=_seeds(config, plan),
        reference=reference,
        rows=rows_of(parts, reference, config.seed, coverage, compared),
        at_cuts=_at_cuts(tried),
        of_lists=of_lists,
        settings=tried[-1].choices.settings,
        trials=tried[-1].choices.trials,
        seconds=_averaged([{"": each.seconds} for each in tried])[""],
        tuning_seconds=_averaged([{"": each.tuning_seconds} for each in tried])[""],
        numbers=tried[-1].numbers,
        ratings={each.split.name: each.ratings for each in tried if each.ratings},
    )
    pq.write_table(per_user_of(parts, splits[0].test.user_ids), folder / "per_user.parquet")
    judgement.save(done)
    return judgement, folder


@dataclass(frozen=True)
class _Tried:
    """A split: its evaluations by seed, and what went into them."""

    split: Split
    evaluations: list[Evaluation]
    choices: BaselineChoices
    of_lists: list[dict[str, dict[str, float]]]
    seconds: dict[str, float]
    tuning_seconds: dict[str, float]
    numbers: dict[str, int]
    ratings: list[RatingRow]


def _on_split(split: Split, marts: Marts, settings: Settings, config: TrainConfig, plan: Plan, folder: Path) -> _Tried:
    vectors = settings.models_dir / "vectors"
    first = prepare_stage("validation", split.validation, folder, config, vectors, progress=True)
    second = prepare_stage("test", split.test, folder, config, vectors, progress=True)
    tuned_on = split.validation.targets().sample(config.tuning_events, config.seed)
    names = baselines_for(split.test)
    choices = choose_baselines(first.material(config.seed), tuned_on, names, plan.budget, folder / "baselines.json")
    targets = split.test.targets().sample(config.test_events, config.seed)
    evaluations, of_lists, costs = [], [], _Costs()
    for seed in _seeds(config, plan):
        path = folder / f"seed_{seed}"
        if not (path / "costs.json").exists():
            stages = tuple(replace(stage, folder=path / stage.name) for stage in (first, second))
            models, costs = _fitted(stages, choices, replace(config, seed=seed), plan)
            found = evaluate(models, split.test, targets, seed, coverage_events=COVERAGE_EVENTS, title=split.name)
            _save_evaluation(path, found)
            costs.save(path / "costs.json")
        costs, found = _Costs.load(path / "costs.json"), _load_evaluation(path, targets, split.test)
        evaluations.append(found)
        of_lists.append(_of_lists(found, split.test, second.vectors, marts))
    return _Tried(
        split,
        evaluations,
        choices,
        of_lists,
        costs.seconds,
        {**choices.seconds, **costs.tuning_seconds},
        costs.numbers,
        judge_ratings(
            Ratings.of(marts, split.validation),
            Ratings.of(marts, split.test),
            (first.vectors, second.vectors),
            (config.tuning_events, config.test_events),
            config.seed,
        ),
    )


@dataclass(frozen=True)
class _Costs:
    seconds: dict[str, float] = field(default_factory=dict)
    tuning_seconds: dict[str, float] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "_Costs":
        return cls(**json.loads(path.read_text()))


def _fitted(
    stages: tuple[Stage, ...], choices: BaselineChoices, config: TrainConfig, plan: Plan
) -> tuple[ManyScorers, _Costs]:
    """The recommender and its parts, and all baselines, with what each took."""
    first, second = stages
    costs = _Costs()
    baselines: dict[str, Scorer] = {}
    for name, chosen in choices.settings.items():
        started = time.perf_counter()
        baselines[name] = fit_baseline(name, chosen, second.material(config.seed))
        costs.seconds[name] = round(time.perf_counter() - started, 1)
        costs.numbers[name] = numbers_in(baselines[name])
    if plan.baselines_only:
        return Each(baselines), costs
    tuning, fitting = Stopwatch(), Stopwatch()
    made, trained = choose(first, config, tuning, baselines=())
    recommender, _ = refit(second, made, Earlier.of(first, trained), config, fitting)
    costs.tuning_seconds[RECOMMENDER_NAME] = round(sum(tuning.seconds.values()), 1)
    costs.seconds[RECOMMENDER_NAME] = round(sum(fitting.seconds.values()), 1)
    costs.numbers[RECOMMENDER_NAME] = numbers_in(recommender)
    return Variants(recommender, baselines), costs


def _of_lists(
    found: Evaluation, snapshot: Snapshot, vectors: NDArray[np.float32], marts: Marts
) -> dict[str, dict[str, float]]:
    """What the kept lists of ten are like, by model; parts of the recommender are left out."""
    items = marts.items_as_of(snapshot.cut)
    by_id = dict(zip(items["item_id"].to_pylist(), items["categories"].to_pylist(), strict=True))
    kinds = list_metrics.Kinds(
        snapshot.item_counts,
        vectors,
        list_metrics.category_shares([by_id[item_id] for item_id in snapshot.item_ids]),
    )
    n_lists = len(found.shown["popularity"])
    met = snapshot.histories(found.targets.lists.where(slice(0, n_lists))).items
    wanted = found.targets.list_of * np.int64(found.n_items) + found.targets.item
    usual = found.shown["popularity"][:, :K]
    answers = {}
    for name, lists in found.shown.items():
        if name.startswith(PARTS):
            continue
        shown = lists[:, :K]
        is_hit = np.isin(np.arange(n_lists)[:, None] * np.int64(found.n_items) + shown, wanted)
        answers[name] = list_metrics.described(shown, is_hit, usual, met, kinds)
    return answers


def _align(evaluations: list[Evaluation]) -> None:
    """The same parts for all: a head that one seed or split gave no weight is one without which nothing changes."""
    names = {name for each in evaluations for name in each.ranks if name.startswith(WITHOUT)}
    for each in evaluations:
        for name in names - each.ranks.keys():
            each.ranks[name] = each.ranks[RECOMMENDER_NAME]


def _joined(tried: list[_Tried], without: frozenset[str]) -> dict[str, ListFigures]:
    """Figures by slice: seeds averaged, splits put together."""
    by_part: dict[str, list[ListFigures]] = {}
    for each in tried:
        targets = each.evaluations[0].targets
        parts: dict[str, NDArray[np.bool_] | None] = {WHOLE: None, **slices_of(each.split.test, targets)}
        for part, inside in parts.items():
            if part in without:
                continue
            by_seed = [ListFigures.of(evaluation, inside) for evaluation in each.evaluations]
            by_part.setdefault(part, []).append(ListFigures.averaged(by_seed))
    return {part: ListFigures.joined(found) for part, found in by_part.items()}


def _at_cuts(tried: list[_Tried]) -> dict[str, dict[str, float]]:
    answers: dict[str, dict[str, float]] = {}
    for k in CUTS:
        joined = ListFigures.joined(
            [ListFigures.averaged([ListFigures.of(found, None, k) for found in each.evaluations]) for each in tried]
        )
        for name, figures in joined.figures.items():
            answers.setdefault(name, {}).update({f"{metric}@{k}": float(v.mean()) for metric, v in figures.items()})
    return answers


def _averaged(parts: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {key: float(np.mean([part[name][key] for part in parts])) for key in parts[0][name]} for name in parts[0]
    }


def _best_linear(choices: BaselineChoices) -> str:
    return max((name for name in LINEAR if name in choices.settings), key=lambda name: choices.ndcg_at_10[name])


def _seeds(config: TrainConfig, plan: Plan) -> list[int]:
    return [config.seed + number for number in range(plan.seeds)]


def _key(config: TrainConfig, plan: Plan, marts: Marts) -> str:
    text = json.dumps([_CODE, asdict(plan), config.key(marts.content_hash)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _save_evaluation(folder: Path, found: Evaluation) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, arrays in (("ranks", found.ranks), ("shown", found.shown)):
        np.savez_compressed(folder / f"{kind}.npz", allow_pickle=False, **_plain(arrays))


def _load_evaluation(folder: Path, targets: Targets, snapshot: Snapshot) -> Evaluation:
    kept = []
    for kind in ("ranks", "shown"):
        with np.load(folder / f"{kind}.npz", allow_pickle=False) as arrays:
            kept.append({name: arrays[name] for name in arrays.files})
    return Evaluation(targets, kept[0], kept[1], snapshot.n_items)


def _plain(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """By name, so that a name is never taken for an option of numpy's."""
    return dict(arrays)
