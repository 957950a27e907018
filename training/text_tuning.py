"""Tune the language model that reads texts, by what people met together or by how a larger model reads.

A low-rank adaptation (LoRA, Hu et al., 2022) of the last layers is learned and merged: what comes out is a backbone
like any other, which the language model of ``FRESHET_TEXT_BACKBONE`` may be. Two things can be learned:

    together    an item's vector finds those of the items that were met near it, among all of a step: the supervised
                contrastive loss (Khosla et al., 2020) with logQ, as items come into a step by their popularity
    a teacher   each text's likeness to the others of a step, as the teacher has it, is reproduced (CompRess,
                Koohpayegani et al., 2020): a space of another width cannot be copied, its neighbourhoods can

An epoch ends with a checkpoint and draws its chance from (seed, epoch) alone. Of events, those up to the validation cut
are learned from, those up to the test cut choose the epoch, and test events are not looked at: the training that
follows is judged on them.
"""

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from freshet.files import write_text
from freshet.settings import Settings
from training.backbones import resolve_backbone
from training.baselines import TextNeighbours, evenly
from training.config import TrainConfig
from training.dataset import read_marts
from training.evaluate import quality
from training.low_rank import LowRank, write_tuned_backbone
from training.snapshot import Events, Snapshot
from training.text_tower import TextEncoder, encode_texts
from training.whitening import fit_whitening

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

LAYERS_ON_CPU: Final = 2
"""A step of all six layers of MiniLM takes half as long again."""
_DECAY: Final = 0.8
"""Per item of age, where the quality of vectors alone is measured."""
_COMPARED: Final = 2_000
"""Texts whose neighbours are compared with the teacher's."""
_TOKENS: Final = 48
"""Of a text that a step reads: its beginning says most, and a step of 128 tokens takes three times as long."""


@dataclass(frozen=True)
class TuningConfig:
    """What can be set of a tuning."""

    teacher: str | None = None
    """A backbone whose reading is learned; None learns from what was met together."""
    layers: int | None = None
    """How many of the last layers are adapted; None takes all on a GPU, and LAYERS_ON_CPU elsewhere."""
    epochs: int = 3
    rank: int = 8
    """r of each adaptation B·A, whose product is scaled by 2."""
    learning_rate: float = 2e-4
    window: int = 8
    """Items of a user in a row that count as met together."""
    windows_per_step: int = 12
    steps_per_epoch: int = 200
    temperature: float = 0.1
    """By which cosines are divided before the softmax."""
    keep: float = 1.0
    """Weight of 1 − cosine to the vectors as they were, so that what people write is still understood."""
    seed: int = 0


@dataclass(frozen=True)
class Tuned:
    """What a tuning came to."""

    folder: Path | None
    """The new backbone; None where no epoch was better than before."""
    curve: list[dict[str, float]]
    """By epoch, from 0: the measure, and the mean loss."""
    measure: str
    """What the epoch was chosen by."""
    best_epoch: int


Loss = Callable[["Tensor", NDArray[np.int64], Sequence[NDArray[np.int64]]], "Tensor"]
"""(vectors (B, W), their items (B,), windows as numbers of rows) -> the mean loss."""


@dataclass(frozen=True)
class Aim:
    """What is learned, and how well vectors (V, W) do."""

    loss: Loss
    measure: str
    quality: Callable[[NDArray[np.float32]], float]
    learned_until_us: int | None
    """The newest event that is learned from."""


def tune_texts(settings: Settings, config: TrainConfig, tuning: TuningConfig) -> Tuned:
    """Tune the configured backbone on a home's items and events. Raises BackboneError, DatasetError."""
    marts = read_marts(settings.features_dir, config.as_of)
    validation_cut, test_cut = marts.cuts()
    snapshot = marts.snapshot(validation_cut, tuning.seed, test_cut)
    backbone = resolve_backbone(config.text_backbone)
    teacher = resolve_backbone(tuning.teacher) if tuning.teacher else None
    folder = settings.models_dir / "text_tuning" / config.key(json.dumps([marts.content_hash, asdict(tuning)]))
    vectors_dir = settings.models_dir / "vectors"
    before = encode_texts(snapshot.texts, backbone=backbone, cache_dir=vectors_dir)
    if teacher is None:
        aim = _behaviour(snapshot, before, config, tuning)
    else:
        aim = _reading(encode_texts(snapshot.texts, backbone=teacher, cache_dir=vectors_dir), tuning)

    encoder = TextEncoder(backbone, in_float32=True)
    layers = tuning.layers or (None if encoder.device == "cuda" else LAYERS_ON_CPU)
    adapted = LowRank(encoder, tuning.rank, layers, tuning.learning_rate, tuning.seed)
    texts = [backbone.prefix("document") + text for text in snapshot.texts]
    tokens = encoder.tokenize(texts)
    curve = _curve_so_far(folder) or [{"epoch": 0, "quality": aim.quality(before)}]
    for epoch in range(len(curve), tuning.epochs + 1):
        if epoch > 1:
            adapted.load(_checkpoint(folder, epoch - 1))
        mean_loss = _epoch(adapted, tokens, snapshot, tuning, epoch, aim.loss)
        folder.mkdir(parents=True, exist_ok=True)
        adapted.save(_checkpoint(folder, epoch))
        found = aim.quality(encoder.encode(texts))
        curve.append({"epoch": epoch, "quality": found, "loss": mean_loss})
        write_text(folder / "curve.json", json.dumps(curve))
        logger.info("text tuning", extra=curve[-1])
    best = int(np.argmax([each["quality"] for each in curve]))
    if best == 0:
        return Tuned(None, curve, aim.measure, 0)
    adapted.load(_checkpoint(folder, best))
    # Who learns from a tuned model learns from what that one has learned.
    learned = [aim.learned_until_us, *(each.learned_until_us for each in (backbone, teacher) if each)]
    facts = {
        "learned_until_us": max((moment for moment in learned if moment is not None), default=None),
        "measure": aim.measure,
        "curve": curve,
        "best_epoch": best,
        "tuning": asdict(tuning) | {"layers": layers},
    }
    written = write_tuned_backbone(settings.models_dir / "backbones", backbone, adapted, facts)
    return Tuned(written, curve, aim.measure, best)


def _behaviour(snapshot: Snapshot, before: NDArray[np.float32], config: TrainConfig, tuning: TuningConfig) -> Aim:
    targets = snapshot.targets().sample(config.tuning_events, tuning.seed)
    counts = snapshot.item_counts + 1
    shares = np.asarray(counts / counts.sum(), dtype=np.float32)

    def ndcg(vectors: NDArray[np.float32]) -> float:
        whitened = fit_whitening(vectors, config.text_size).apply(vectors)
        return quality(TextNeighbours(whitened, evenly(_DECAY)), snapshot, targets, config.seed)

    loss = partial(together, before=before, shares=shares, tuning=tuning)
    return Aim(loss, "NDCG@10 of texts alone, on validation", ndcg, snapshot.cut)


def _reading(teacher: NDArray[np.float32], tuning: TuningConfig) -> Aim:
    some = np.random.default_rng(tuning.seed).permutation(len(teacher))[:_COMPARED]

    def neighbours(vectors: NDArray[np.float32]) -> NDArray[np.intp]:
        likeness = vectors[some] @ vectors.T
        likeness[np.arange(len(some)), some] = -np.inf
        return np.argsort(-likeness, axis=1)[:, :10]

    def shared(vectors: NDArray[np.float32]) -> float:
        pairs = zip(neighbours(vectors), neighbours(teacher), strict=True)
        return float(np.mean([len(np.intersect1d(ours, theirs)) / 10 for ours, theirs in pairs]))

    loss = partial(as_the_teacher, teacher=teacher, temperature=tuning.temperature)
    return Aim(loss, "of the teacher's ten nearest texts", shared, None)


def together(
    vectors: "Tensor",
    items: NDArray[np.int64],
    windows: Sequence[NDArray[np.int64]],
    *,
    before: NDArray[np.float32],
    shares: NDArray[np.float32],
    tuning: TuningConfig,
) -> "Tensor":
    """−mean over i and its companions p of log softmax over a ≠ i of (v_i·v_a/τ − log share_a) at p, plus ``keep``.

    ``before`` (V, W) are the vectors as they were, ``shares`` (V,) how often an item is met among all.
    """
    import torch

    is_companion = torch.zeros(len(items), len(items), dtype=torch.bool)
    for window in windows:
        is_companion[np.ix_(window, window)] = True
    is_companion.fill_diagonal_(False)
    is_companion = is_companion.to(vectors.device)
    log_shares = torch.from_numpy(np.log(shares[items])).to(vectors.device)
    logits = vectors @ vectors.T / tuning.temperature - log_shares
    logits = logits.masked_fill(torch.eye(len(items), dtype=torch.bool, device=vectors.device), -math.inf)
    log_chances = logits.log_softmax(dim=1).masked_fill(~is_companion, 0)
    companions = is_companion.sum(dim=1)
    found = -(log_chances.sum(dim=1) / companions.clamp(min=1))[companions > 0].mean()
    moved = 1 - (vectors * torch.from_numpy(before[items]).to(vectors.device)).sum(dim=1).mean()
    return found + tuning.keep * moved


def as_the_teacher(
    vectors: "Tensor",
    items: NDArray[np.int64],
    windows: Sequence[NDArray[np.int64]],
    *,
    teacher: NDArray[np.float32],
    temperature: float,
) -> "Tensor":
    """KL(teacher ‖ student) of each text's softmax over its likeness to the others of the step; ``teacher`` (V, W')."""
    import torch

    itself = torch.eye(len(items), dtype=torch.bool, device=vectors.device)
    taught = torch.from_numpy(teacher[items]).to(vectors.device)

    def log_likeness(of: "Tensor") -> "Tensor":
        return (of @ of.T / temperature).masked_fill(itself, -1e9).log_softmax(dim=1)

    return torch.nn.functional.kl_div(
        log_likeness(vectors), log_likeness(taught), log_target=True, reduction="batchmean"
    )


def met_together(events: Events, length: int, offset: int) -> list[NDArray[np.int64]]:
    """Each user's items in runs of ``length``, shifted by ``offset``; a run of one item has nothing to say."""
    run = (np.arange(len(events)) - events.first_of_user + offset) // length
    ends = np.flatnonzero((np.diff(events.user) != 0) | (np.diff(run) != 0)) + 1
    runs = (np.unique(part).astype(np.int64) for part in np.split(events.item, ends))
    return [items for items in runs if len(items) > 1]


def _epoch(
    adapted: LowRank, tokens: list[list[int]], snapshot: Snapshot, tuning: TuningConfig, epoch: int, loss: Loss
) -> float:
    """One pass over at most ``steps_per_epoch`` steps; returns the mean loss."""
    generator = np.random.default_rng([tuning.seed, epoch])
    steps = list(_steps(snapshot, tuning, generator))
    losses = []
    for step, (items, windows) in enumerate(tqdm(steps, desc=f"text tuning, epoch {epoch}", unit="step")):
        vectors = adapted.encoder.vectors([tokens[item][:_TOKENS] for item in items])
        share_done = ((epoch - 1) * len(steps) + step) / (tuning.epochs * len(steps))
        losses.append(adapted.descend(loss(vectors, items, windows), share_done))
    return float(np.mean(losses))


def _steps(
    snapshot: Snapshot, tuning: TuningConfig, generator: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], list[NDArray[np.int64]]]]:
    """The different items of some windows, and the windows as rows of those; for a teacher any items will do."""
    if tuning.teacher is not None:
        size = tuning.window * tuning.windows_per_step
        order = generator.permutation(snapshot.n_items)
        for start in range(0, min(len(order), size * tuning.steps_per_epoch), size):
            yield order[start : start + size], []
        return
    windows = met_together(snapshot.training, tuning.window, int(generator.integers(tuning.window)))
    order = generator.permutation(len(windows))[: tuning.windows_per_step * tuning.steps_per_epoch]
    for start in range(0, len(order), tuning.windows_per_step):
        some = [windows[number] for number in order[start : start + tuning.windows_per_step]]
        items = np.unique(np.concatenate(some))
        yield items, [np.searchsorted(items, window) for window in some]


def _checkpoint(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch}.safetensors"


def _curve_so_far(folder: Path) -> list[dict[str, float]]:
    path = folder / "curve.json"
    return list(json.loads(path.read_text())) if path.exists() else []
