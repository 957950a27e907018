"""The three stages of a run: choose on validation, judge on test, fit on everything.

Each stage freezes one cut in time and fits the same heads on what was known then. What a stage has made lies in its
folder; a run that was killed finds it there and goes on.
"""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.files import write_text
from training.backbones import Backbone, BackboneError, resolve_backbone
from training.baseline_families import EVERY_RUN, Material
from training.baseline_tuning import QUICK, BaselineChoices, choose_baselines
from training.blend import REGIMES
from training.config import TrainConfig
from training.evaluate import quality
from training.history import HistoryBatch, Recency
from training.item_item import ItemItemConfig, fit_item_item
from training.llm_recommender import HEADS, WHITENING, LLMRecommender
from training.neighbours import Neighbours
from training.sequence_head import SequenceScorer
from training.sequence_network import SequenceNetwork
from training.sequence_training import TorchSequence, TrainedSequence, Validate, WarmStart, train_sequence
from training.snapshot import Snapshot, Targets
from training.stopwatch import Stopwatch
from training.text_tower import encode_texts
from training.time_budget import TimeBudget
from training.transitions import fit_transitions
from training.tuning import (
    choose_blend,
    choose_item_item,
    choose_own_history,
    choose_reading,
    choose_recency,
    starts_and_insides,
)
from training.whitening import Whitening, fit_whitening

logger = logging.getLogger(__name__)

Scores = NDArray[np.float32]
_BLEND_SCORES_PER_MINUTE = 12e6
"""A tenth of what all heads together score while their weights are found."""
_FITS_TO_COME = 3
"""Of the item-item head, after the one whose time is known: as chosen, for the test, and on everything."""


@dataclass(frozen=True)
class Stage:
    """A cut in time, the items' vectors, and a folder of its own."""

    name: str
    snapshot: Snapshot
    vectors: Scores  # (V, E)
    folder: Path

    def material(self, seed: int) -> Material:
        """What baselines are made from."""
        return Material(self.snapshot, self.vectors, self.folder / "baselines", seed)


def prepare_stage(
    name: str, snapshot: Snapshot, folder: Path, config: TrainConfig, vectors_dir: Path, *, progress: bool = False
) -> Stage:
    """Give a snapshot its items' vectors; the whitening is that of the folder's first stage, so all share one space.

    Raises BackboneError where the language model was tuned on what this stage must not know.
    """
    backbone = resolve_backbone(config.text_backbone)
    _check_backbone(backbone, snapshot)
    raw = encode_texts(snapshot.texts, backbone=backbone, cache_dir=vectors_dir, progress=progress)
    path = folder / WHITENING
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fit_whitening(raw, config.text_size).save(path)
    return Stage(name, snapshot, Whitening.load(path).apply(raw), folder / name)


def _check_backbone(backbone: Backbone, snapshot: Snapshot) -> None:
    if backbone.learned_until_us is None:
        return
    has_learned = (snapshot.events.known_at <= backbone.learned_until_us) & ~snapshot.events.is_negative
    if n_leaks := int((has_learned & ~snapshot.is_training).sum()):
        raise BackboneError(
            f"the language model {backbone.name} was tuned on {n_leaks:,} events that must not be known here: "
            "take an untuned one, or tune on less with `freshet tune-texts --as-of`"
        )


@dataclass(frozen=True)
class Earlier:
    """A network to go on from, and the items it knows in its order."""

    item_ids: list[str]
    network: SequenceNetwork
    fresh_after: int | None = None
    """Where only what happened after this moment is to be learned, and the rest kept."""

    @classmethod
    def of(cls, stage: Stage, trained: TrainedSequence | None, fresh_after: int | None = None) -> "Earlier | None":
        """What a stage has trained; None where the sequence head is left out."""
        return cls(stage.snapshot.item_ids, trained.network, fresh_after) if trained else None


@dataclass(frozen=True)
class Choices:
    """All that validation decided; written as JSON, so that a later stage or run needs no validation."""

    item_item: ItemItemConfig
    recency: Recency
    weights: list[list[float]]  # by regime and head
    blend_report: dict[str, float]
    best_epoch: int
    curve: list[dict[str, float]]
    baselines: BaselineChoices

    def save(self, path: Path) -> None:
        """Write at once or not at all."""
        write_text(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> "Choices":
        """Read what ``save`` wrote."""
        read: dict[str, Any] = json.loads(path.read_text())
        return cls(
            item_item=ItemItemConfig(**read["item_item"]),
            recency=Recency(**read["recency"]),
            weights=read["weights"],
            blend_report=read["blend_report"],
            best_epoch=read["best_epoch"],
            curve=read["curve"],
            baselines=BaselineChoices(**read["baselines"]),
        )


def choose(
    stage: Stage,
    config: TrainConfig,
    watch: Stopwatch,
    baselines: Sequence[str] = EVERY_RUN,
    budget: TimeBudget | None = None,
) -> tuple[Choices, TrainedSequence | None]:
    """Stage one: every choice, judged on the targets of the stage's snapshot."""
    budget = budget or TimeBudget(None)
    snapshot, path = stage.snapshot, stage.folder / "choices.json"
    targets = snapshot.targets().sample(config.tuning_events, config.seed)
    with watch.step("choose: sequence head"):
        trained = _train_chosen(stage, targets, config, budget.share(0.25))
    if path.exists():
        return Choices.load(path), trained
    with watch.step("choose: item-item head"):
        limits = (config.tuning_items, config.tuning_events)
        began = time.monotonic()
        usual = fit_item_item(snapshot.training, stage.vectors, config.item_item)
        budget.reserve(_FITS_TO_COME * (time.monotonic() - began))
        recency = choose_recency(usual, snapshot, targets, config.seed, budget.share(0.05))
        until = budget.share(0.2)
        item_item = choose_item_item(snapshot, stage.vectors, config.item_item, recency, limits, config.seed, until)
    with watch.step("choose: fit item-item head"):
        neighbours = fit_item_item(snapshot.training, stage.vectors, item_item)
    with watch.step("choose: reading of histories"):
        recency = choose_reading(neighbours, snapshot, targets, config.seed, budget.share(0.1))
    with watch.step("choose: blend"):
        head = trained.scorer() if trained else None
        nothing = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
        recommender = _assemble(stage, neighbours, head, recency, nothing, config)
        n_events = budget.affordable(config.blend_events, snapshot.n_items, _BLEND_SCORES_PER_MINUTE)
        mixture = starts_and_insides(snapshot, n_events, config.seed)
        blend = choose_blend(recommender, snapshot, mixture, config.seed, budget.share(0.1))
    with watch.step("choose: own history"):
        recommender = recommender.with_weights(blend.weights)
        until = budget.share(0.1)
        weights = choose_own_history(recommender, snapshot, config.tuning_events, config.seed, until)
    with watch.step("choose: baselines"):
        trials = replace(QUICK, until=budget.share(0.15))
        chosen_baselines = choose_baselines(stage.material(config.seed), targets, baselines, trials)
    choices = Choices(
        item_item=item_item,
        recency=recency,
        weights=[[round(float(weight), 4) for weight in row] for row in weights],
        blend_report=blend.report,
        best_epoch=trained.best_epoch if trained else 0,
        curve=trained.curve if trained else [],
        baselines=chosen_baselines,
    )
    choices.save(path)
    logger.info("chosen", extra={"choices": asdict(choices), "weights": blend.table()})
    return choices, trained


def refit(
    stage: Stage,
    choices: Choices,
    earlier: Earlier | None,
    config: TrainConfig,
    watch: Stopwatch,
    *,
    export: bool = False,
) -> tuple[LLMRecommender, TrainedSequence | None]:
    """Stages two and three: the chosen model on all that was known at the stage's cut.

    With ``export`` the sequence head is the ONNX form that is saved; without, the same network in torch, sooner.
    """
    trained: TrainedSequence | None = None
    head: SequenceScorer | None = None
    if earlier is not None:
        with watch.step(f"{stage.name}: sequence head"):
            warm = WarmStart.between(earlier.network, earlier.item_ids, stage.snapshot.item_ids, earlier.fresh_after)
            epochs = max(1, round(config.sequence.refit_share * choices.best_epoch))
            trained = train_sequence(
                stage.snapshot.training,
                stage.vectors,
                config.sequence,
                epochs=epochs,
                seed=config.seed,
                folder=stage.folder / "sequence",
                warm_start=warm,
                title=f"{stage.name}: sequence head",
            )
            head = trained.export() if export else trained.scorer()
    with watch.step(f"{stage.name}: item-item head"):
        neighbours = _fit_once(stage, choices.item_item)
    weights = np.array(choices.weights, dtype=np.float32)
    return _assemble(stage, neighbours, head, choices.recency, weights, config).debiased(config.debias), trained


def _assemble(
    stage: Stage,
    neighbours: Neighbours,
    head: SequenceScorer | None,
    recency: Recency,
    weights: Scores,
    config: TrainConfig,
) -> LLMRecommender:
    snapshot = stage.snapshot
    return LLMRecommender(
        item_ids=snapshot.item_ids,
        item_vectors=stage.vectors,
        popularity=snapshot.latest_popularity,
        item_item=neighbours,
        transitions=fit_transitions(snapshot.training, snapshot.n_items, config.transitions),
        sequence=head,
        weights=weights,
        recency=recency,
    )


def _fit_once(stage: Stage, config: ItemItemConfig) -> Neighbours:
    """The costliest closed form, kept for a run that is killed later in its stage."""
    done = stage.folder / "item_item.done"
    if not done.exists():
        stage.folder.mkdir(parents=True, exist_ok=True)
        fit_item_item(stage.snapshot.training, stage.vectors, config).save(stage.folder, "item_item")
        done.touch()
    return Neighbours.load(stage.folder, "item_item")


def _train_chosen(stage: Stage, targets: Targets, config: TrainConfig, until: float) -> TrainedSequence | None:
    if config.epochs == 0:
        return None

    return train_sequence(
        stage.snapshot.training,
        stage.vectors,
        config.sequence,
        epochs=config.epochs,
        seed=config.seed,
        folder=stage.folder / "sequence",
        validate=validation_of(stage, targets, config.seed),
        title="choose: sequence head",
        until=until,
    )


def validation_of(stage: Stage, targets: Targets, seed: int) -> Validate:
    """By what the sequence head stops early: NDCG@10 of it alone."""

    def validate(network: Any, text: Any, fade: Any) -> float:
        return quality(SequenceOnly(TorchSequence.of(network, text, fade)), stage.snapshot, targets, seed)

    return validate


@dataclass(frozen=True)
class SequenceOnly:
    """The sequence head as a model of its own, for early stopping."""

    sequence: SequenceScorer

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """(B, V)."""
        return self.sequence.score(batch)
