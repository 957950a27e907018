"""SASRec with cross-entropy as a baseline: our own sequence network on identities alone.

Kang and McAuley (2018), with the loss of Klenitskiy and Vasilev (2023): no text, no item-dropout, no times; full
softmax up to ten thousand items, sampled beyond. It stands in for RecTools' SASRec, which cannot be installed beside
numpy 2. What differs from the paper: a learned bias by distance instead of learned absolute positions, and a bias per
item.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.evaluate import quality
from training.history import HistoryBatch
from training.sequence_head import SequenceScorer
from training.sequence_network import SequenceConfig
from training.sequence_training import TorchSequence, TrainedSequence, Validate, train_sequence
from training.snapshot import Snapshot, Targets

Scores = NDArray[np.float32]
_FULL_SOFTMAX = 10_000


@dataclass(frozen=True)
class SASRec:
    """The trained network, which sees items and their order."""

    network: SequenceScorer

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """(B, V)."""
        return self.network.score(_without_times(batch))


def sasrec_config(embedding_size: int, dropout: float, n_items: int) -> SequenceConfig:
    """Two layers, as in the paper."""
    return SequenceConfig(
        embedding_size=embedding_size,
        layers=2,
        dropout=dropout,
        item_dropout=0.0,
        fade_in=1e-6,
        negatives=n_items if n_items <= _FULL_SOFTMAX else 1_000,
        patience=3,
    )


def choose_epochs(
    snapshot: Snapshot, targets: Targets, config: SequenceConfig, epochs: int, folder: Path, seed: int
) -> TrainedSequence:
    """Train until validation stops it; its curve and best epoch say how good it was and how long it took."""

    def validate(network: object, text: object, fade: object) -> float:
        return quality(SASRec(TorchSequence.of(network, text, fade)), snapshot, targets, seed)  # type: ignore[arg-type]

    return _train(snapshot, config, epochs, folder, seed, validate)


def fit_sasrec(snapshot: Snapshot, config: SequenceConfig, epochs: int, folder: Path, seed: int) -> SASRec:
    """Train from scratch for as many epochs as validation found best."""
    return SASRec(_train(snapshot, config, epochs, folder, seed, None).scorer())


def _train(
    snapshot: Snapshot, config: SequenceConfig, epochs: int, folder: Path, seed: int, validate: Validate | None
) -> TrainedSequence:
    events = snapshot.training
    return train_sequence(
        replace(events, occurred_at=np.zeros_like(events.occurred_at)),
        np.zeros((snapshot.n_items, 1), dtype=np.float32),
        config,
        epochs=epochs,
        seed=seed,
        folder=folder,
        validate=validate,
        title="SASRec",
    )


def _without_times(batch: HistoryBatch) -> HistoryBatch:
    return HistoryBatch(batch.items, np.zeros_like(batch.times), np.zeros_like(batch.now))
