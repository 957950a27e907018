"""Train the sequence head: windows of histories, cross-entropy at every position, an epoch at a time.

Every epoch ends with a checkpoint and draws its chance from (seed, epoch) alone, so a run that was killed goes on from
its last epoch and ends with the same weights as one that was not.
"""

import copy
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from freshet.files import write_text
from training.history import PADDING, History, HistoryBatch
from training.sequence_head import SequenceHead, gap_buckets
from training.sequence_network import SequenceConfig, SequenceNetwork, export_onnx
from training.sequence_windows import Windows, fresh_and_replayed, windows, windows_per_step
from training.snapshot import Events
from training.time_budget import ENDLESS

logger = logging.getLogger(__name__)

MAX_EXPORT_ERROR = 1e-3
"""Largest difference of a score that float32 in another order of additions explains."""

Validate = Callable[[SequenceNetwork, Tensor, Tensor], float]
"""(network, text, fade) -> NDCG@10 on validation."""


@dataclass
class TrainedSequence:
    """A network with what it needs to be used, and how it got there."""

    network: SequenceNetwork
    text: Tensor  # (V, E)
    fade: Tensor  # (V,)
    best_epoch: int
    curve: list[dict[str, float]] = field(default_factory=list)

    def scorer(self) -> "TorchSequence":
        """The head as it stands, in torch."""
        return TorchSequence.of(self.network.eval(), self.text, self.fade)

    def export(self) -> SequenceHead:
        """The form that is saved and served. Raises RuntimeError if it would answer otherwise than the network."""
        exact = self.scorer()
        head = SequenceHead.build(
            exact.table,
            exact.bias,
            self.network.text_adaptor(),
            export_onnx(self.network.reader),
            self.network.config.max_length,
        )
        trial = _trial_histories(len(exact.table), self.network.config.max_length)
        difference = float(np.abs(head.score(trial) - exact.score(trial)).max())
        if difference > MAX_EXPORT_ERROR:
            raise RuntimeError(
                f"the exported sequence head differs from the trained one by {difference:.2g}: check ONNX"
            )
        return head


@dataclass(frozen=True)
class TorchSequence:
    """The network without an export, which takes seconds: what validation and test are judged by."""

    network: SequenceNetwork
    table: NDArray[np.float32]  # (V, D)
    bias: NDArray[np.float32]  # (V,)

    @classmethod
    def of(cls, network: SequenceNetwork, text: Tensor, fade: Tensor) -> "TorchSequence":
        """The network with the item table it implies now."""
        return cls(network, network.item_table(text, fade), network.item_bias.detach().numpy().copy())

    def score(self, batch: HistoryBatch) -> NDArray[np.float32]:
        """(B, V); zero for a user without history."""
        batch = batch.newest(self.network.config.max_length)
        if batch.items.shape[1] == 0:
            return np.zeros((len(batch), len(self.table)), dtype=np.float32)
        with torch.inference_mode():
            vectors = torch.from_numpy(self.table[np.maximum(batch.items, 0)])
            users = self.network.reader(vectors, torch.from_numpy(gap_buckets(batch)))[:, -1].numpy()
        scores: NDArray[np.float32] = users @ self.table.T + self.bias
        scores[batch.lengths == 0] = 0
        return scores


@dataclass(frozen=True)
class WarmStart:
    """An earlier network, and where its items stand now."""

    network: SequenceNetwork
    earlier_items: NDArray[np.int64]  # (n,) items known then, in the earlier network …
    items: NDArray[np.int64]  # (n,) … and in the new one
    fresh_after: int | None = None
    """Learn from what happened after this moment (microseconds), replay some of the rest, and stay near the earlier
    network's answers; None learns from everything anew."""

    @classmethod
    def between(
        cls, network: SequenceNetwork, earlier_ids: list[str], ids: list[str], fresh_after: int | None = None
    ) -> "WarmStart":
        """Match items by id; those new since then start as they would without."""
        place = {item_id: index for index, item_id in enumerate(ids)}
        pairs = [(then, place[item_id]) for then, item_id in enumerate(earlier_ids) if item_id in place]
        both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return cls(network, both[:, 0], both[:, 1], fresh_after)

    @torch.no_grad()
    def carry_over(self, network: SequenceNetwork) -> None:
        """Copy all weights; those of items go where the items stand now."""
        earlier = self.network.state_dict()
        for name, value in network.state_dict().items():
            if name in ("identity.weight", "item_bias"):
                value[self.items] = earlier[name][self.earlier_items]
            else:
                value.copy_(earlier[name])


def _trial_histories(n_items: int, max_length: int) -> HistoryBatch:
    """Histories of all kinds of length, at random but always the same."""
    generator = np.random.default_rng(0)
    lengths = [0, 1, 2, max_length // 2, max_length]
    histories = []
    for length in lengths:
        times = np.sort(generator.integers(0, 10**13, length))
        histories.append(History(generator.integers(0, n_items, length).astype(np.int32), times))
    return HistoryBatch.of(histories, [10**13] * len(lengths))


def train_sequence(
    events: Events,
    vectors: NDArray[np.float32],
    config: SequenceConfig,
    *,
    epochs: int,
    seed: int,
    folder: Path,
    warm_start: WarmStart | None = None,
    validate: Validate | None = None,
    title: str = "sequence head",
    until: float = ENDLESS,
) -> TrainedSequence:
    """Train on the events' users. With ``validate`` the best epoch is kept; without, the last one.

    What the first epoch took says how many there can be before ``until`` (``time.monotonic``).
    """
    counts = np.bincount(events.item, minlength=len(vectors)).astype(np.float32)
    text, fade = torch.from_numpy(vectors), torch.from_numpy(counts / (counts + config.fade_in))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SequenceNetwork(len(vectors), vectors.shape[1], config)
    teacher: SequenceNetwork | None = None
    if warm_start is not None:
        warm_start.carry_over(network)
        if warm_start.fresh_after is not None:
            teacher = copy.deepcopy(network).eval()
    rate = config.learning_rate * (0.3 if warm_start is not None else 1.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=config.weight_decay, fused=True)
    run = TrainedSequence(network, text, fade, best_epoch=0)
    best = _restore(folder, network, optimizer, run)
    with tqdm(total=epochs, initial=len(run.curve), desc=title, unit="epoch", disable=None) as bar:
        while len(run.curve) < epochs and not _is_over(run, config, validate):
            epoch, began = len(run.curve) + 1, time.monotonic()
            generator = np.random.default_rng([seed, epoch])
            cut = _windows_of(events, config, warm_start, generator)
            loss = _train_epoch(run, optimizer, cut, epoch, epochs, rate, teacher, generator)
            figures = {"epoch": float(epoch), "loss": loss}
            if validate is not None:
                figures["ndcg_at_10"] = validate(network.eval(), text, fade)
            run.curve.append(figures)
            if validate is None or figures["ndcg_at_10"] > max((f["ndcg_at_10"] for f in run.curve[:-1]), default=-1.0):
                run.best_epoch, best = epoch, {name: value.clone() for name, value in network.state_dict().items()}
            _checkpoint(folder, network, optimizer, run, best)
            if math.isfinite(until):
                took = time.monotonic() - began
                epochs = min(epochs, epoch + max(0, int((until - time.monotonic()) / took)))
            bar.update()
            bar.set_postfix({name: f"{value:.4f}" for name, value in figures.items() if name != "epoch"})
            logger.info("sequence head epoch", extra={"title": title, **figures})
    network.load_state_dict(best)
    network.eval()
    return run


def _is_over(run: TrainedSequence, config: SequenceConfig, validate: Validate | None) -> bool:
    return validate is not None and len(run.curve) - run.best_epoch >= config.patience


def _windows_of(
    events: Events, config: SequenceConfig, warm_start: WarmStart | None, generator: np.random.Generator
) -> Windows:
    """An epoch's windows, cut somewhere else in each."""
    cut = windows(events, config.max_length, int(generator.integers(config.max_length)))
    if warm_start is None or warm_start.fresh_after is None:
        return cut
    return fresh_and_replayed(cut, warm_start.fresh_after, config.replay, generator)


def _train_epoch(
    run: TrainedSequence,
    optimizer: torch.optim.Optimizer,
    cut: Windows,
    epoch: int,
    epochs: int,
    rate: float,
    teacher: SequenceNetwork | None,
    generator: np.random.Generator,
) -> float:
    """One pass; the learning rate falls along a half cosine over all epochs. Returns the mean loss."""
    config = run.network.config
    shuffled = generator.permutation(len(cut.batch))
    size = windows_per_step(cut, config)
    steps = -(-len(shuffled) // size)
    total, n_positions = 0.0, 0
    run.network.train()
    with torch.random.fork_rng():
        torch.manual_seed(int(generator.integers(2**31)))
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = rate * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * (epoch - 1 + step / steps) / epochs)))
            loss, n_learned = _loss(run, cut, shuffled[step * size : (step + 1) * size], generator, teacher)
            optimizer.zero_grad()
            (loss / n_learned).backward()
            torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
            optimizer.step()
            total, n_positions = total + float(loss.detach()), n_positions + n_learned
    return total / max(n_positions, 1)


def _loss(
    run: TrainedSequence,
    cut: Windows,
    rows: NDArray[np.int64],
    generator: np.random.Generator,
    teacher: SequenceNetwork | None,
) -> tuple[Tensor, int]:
    """Summed cross-entropy over all positions of some windows, and how many there were.

    With a teacher, the Kullback-Leibler divergence from its answers is added: what it knew is not to be forgotten.
    """
    config, n_items = run.network.config, len(run.fade)
    used = int((cut.following[rows] != PADDING).sum(axis=1).max())  # padding stands left: what nobody fills is cut off
    batch, following = cut.batch.rows(rows).newest(used), cut.following[rows, -used:]
    hidden = torch.from_numpy(generator.random(n_items, dtype=np.float32) < config.item_dropout)
    fade = torch.where(hidden, torch.zeros(()), run.fade)
    right = torch.from_numpy(following[following != PADDING])  # (n,)
    others = None
    if n_items > config.negatives + 1:
        others = torch.from_numpy(generator.choice(n_items, config.negatives, replace=False))
    is_asked = torch.from_numpy(following != PADDING)
    logits = _logits(run.network, run.text, fade, batch, is_asked, right, others)
    target = right if others is None else torch.zeros_like(right)
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
    if teacher is not None:
        with torch.no_grad():
            known = _logits(teacher, run.text, run.fade, batch, is_asked, right, others).log_softmax(1)
        forgotten = torch.nn.functional.kl_div(logits.log_softmax(1), known, reduction="sum", log_target=True)
        loss = loss + config.distillation * forgotten
    return loss, len(right)


def _logits(
    network: SequenceNetwork,
    text: Tensor,
    fade: Tensor,
    batch: HistoryBatch,
    is_asked: Tensor,
    right: Tensor,
    others: Tensor | None,
) -> Tensor:
    """(n, V) at the n positions that are asked about; with ``others`` (k,) sampled, (n, 1 + k) and the right one first.

    Each sampled item stands for several of the catalogue: with the logarithm of how many, this is the full softmax.
    """
    items = torch.from_numpy(np.maximum(batch.items, 0).astype(np.int64))
    vectors = network.item_vectors(text, fade, items.flatten()).unflatten(0, items.shape)
    users = network.reader(vectors, torch.from_numpy(gap_buckets(batch)))[is_asked]  # (n, D)
    if others is None:
        return users @ network.item_vectors(text, fade, torch.arange(len(fade))).T + network.item_bias
    logits = users @ network.item_vectors(text, fade, others).T + network.item_bias[others]
    logits = logits + math.log((len(fade) - 1) / len(others))
    logits = logits.masked_fill(others[None, :] == right[:, None], -1e9)
    own = (users * network.item_vectors(text, fade, right)).sum(1) + network.item_bias[right]
    return torch.cat([own[:, None], logits], dim=1)


def _checkpoint(
    folder: Path,
    network: SequenceNetwork,
    optimizer: torch.optim.Optimizer,
    run: TrainedSequence,
    best: dict[str, Tensor],
) -> None:
    """Weights, the best weights, the optimiser's moments and the curve; the JSON is written last and names the file."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"epoch_{len(run.curve)}.safetensors"
    tensors = {f"network.{key}": value.clone() for key, value in network.state_dict().items()}
    tensors |= {f"best.{key}": value.clone() for key, value in best.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value.clone() for key, value in state.items()}
    save_file(tensors, folder / name)
    write_text(folder / "checkpoint.json", json.dumps({"file": name, "best_epoch": run.best_epoch, "curve": run.curve}))
    for old in folder.glob("epoch_*.safetensors"):
        if old.name != name:
            old.unlink()


def _restore(
    folder: Path, network: SequenceNetwork, optimizer: torch.optim.Optimizer, run: TrainedSequence
) -> dict[str, Tensor]:
    """Go on from the last checkpoint, if there is one. Returns the best weights so far."""
    path = folder / "checkpoint.json"
    if not path.exists():
        return {name: value.clone() for name, value in network.state_dict().items()}
    saved = json.loads(path.read_text())
    tensors = load_file(folder / saved["file"])
    network.load_state_dict(_of_kind(tensors, "network."))
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in _of_kind(tensors, "optimizer.").items():
        number, name = key.split(".", 1)
        states.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    run.best_epoch, run.curve = saved["best_epoch"], saved["curve"]
    return _of_kind(tensors, "best.")


def _of_kind(tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    return {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}
