"""The sequence head at inference: ONNX Runtime reads a history and answers with the user's vector; no torch here.

Item vectors are gathered from the item table outside the graph, so a new item needs a new row and nothing else.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from training.history import HistoryBatch

if TYPE_CHECKING:
    import onnxruntime

N_GAP_BUCKETS = 30
"""Bucket 0 is padding; bucket b > 0 holds gaps of 2^(b−1) − 1 seconds and more: the last one starts after 8 years."""

_LARGEST_BATCH = 256


def gap_buckets(batch: HistoryBatch) -> NDArray[np.int64]:
    """(B, T) the logarithm of the time from each item to the next, or from the newest item to now."""
    buckets = 1 + np.floor(np.log2(1 + batch.gaps_us / 1e6)).astype(np.int64)
    return np.where(batch.is_item, np.minimum(buckets, N_GAP_BUCKETS - 1), 0)


def open_session(model: bytes | Path) -> "onnxruntime.InferenceSession":
    """One thread and no spinning: many workers share few cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class SequenceScorer(Protocol):
    """The sequence head, exported or still in torch."""

    def score(self, batch: HistoryBatch) -> NDArray[np.float32]:
        """(B, V); zero for a user without history."""
        ...


@dataclass(frozen=True)
class SequenceHead:
    """Scores = user's vector · item vectors + item bias."""

    item_table: NDArray[np.float32]  # (V, D)
    item_bias: NDArray[np.float32]  # (V,)
    adaptor: NDArray[np.float32]  # (E + 1, D), the last row is added: a text's vector -> the row of an unmet item
    model: bytes
    """The exported network."""
    max_length: int
    session: "onnxruntime.InferenceSession"

    @classmethod
    def build(
        cls,
        item_table: NDArray[np.float32],
        item_bias: NDArray[np.float32],
        adaptor: NDArray[np.float32],
        model: bytes,
        max_length: int,
    ) -> "SequenceHead":
        """Open the exported network beside its item table."""
        return cls(item_table, item_bias, adaptor, model, max_length, open_session(model))

    def user_vectors(self, batch: HistoryBatch) -> NDArray[np.float32]:
        """(B, D); a user without history is the zero vector."""
        batch = batch.newest(self.max_length)
        vectors = np.zeros((len(batch), self.item_table.shape[1]), dtype=np.float32)
        known = np.flatnonzero(batch.lengths > 0)
        for start in range(0, len(known), _LARGEST_BATCH):
            rows = known[start : start + _LARGEST_BATCH]
            some = batch if len(rows) == len(batch) else batch.rows(rows)
            inputs = {"vectors": self.item_table[np.maximum(some.items, 0)], "gaps": gap_buckets(some)}
            vectors[rows] = self.session.run(None, inputs)[0]
        return vectors

    def score(self, batch: HistoryBatch) -> NDArray[np.float32]:
        """(B, V); zero for a user without history."""
        scores: NDArray[np.float32] = self.user_vectors(batch) @ self.item_table.T + self.item_bias
        scores[batch.lengths == 0] = 0
        return scores

    def save(self, folder: Path) -> None:
        """Network as ONNX, tables as .npy."""
        (folder / "sequence.onnx").write_bytes(self.model)
        np.save(folder / "sequence_item_table.npy", self.item_table, allow_pickle=False)
        np.save(folder / "sequence_item_bias.npy", self.item_bias, allow_pickle=False)
        np.save(folder / "sequence_adaptor.npy", self.adaptor, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, max_length: int) -> "SequenceHead":
        """Read what ``save`` wrote."""
        return cls.build(
            np.load(folder / "sequence_item_table.npy", allow_pickle=False),
            np.load(folder / "sequence_item_bias.npy", allow_pickle=False),
            np.load(folder / "sequence_adaptor.npy", allow_pickle=False),
            (folder / "sequence.onnx").read_bytes(),
            max_length,
        )
