"""Sparse item-to-item weights of fixed width: what the item-item, transition and kNN heads all score with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.history import HistoryBatch

_BLOCK = 1_024


@dataclass(frozen=True)
class Neighbours:
    """Row j holds the items that item j speaks for or against, strongest first."""

    items: NDArray[np.int32]  # (V, K)
    weights: NDArray[np.float32]  # (V, K), 0 where a row has fewer neighbours

    @classmethod
    def strongest(cls, matrix: NDArray[np.float32], width: int) -> "Neighbours":
        """Keep the ``width`` largest absolute weights of each row of (V, V)."""
        width = min(width, matrix.shape[1])
        items = np.empty((len(matrix), width), dtype=np.int32)
        weights = np.empty((len(matrix), width), dtype=np.float32)
        for start in range(0, len(matrix), _BLOCK):
            block = matrix[start : start + _BLOCK]
            items[start : start + _BLOCK], weights[start : start + _BLOCK] = strongest_of_rows(block, width)
        return cls(items, weights)

    def __len__(self) -> int:
        """Items that have a row."""
        return len(self.items)

    def of(self, items: NDArray[np.integer]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(…, K) the neighbours of some items (…) and their weights."""
        return self.items[items], self.weights[items]

    def score(self, batch: HistoryBatch, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, V): the sum of the rows of each history's items, times their (B, T) weights."""
        n_items = len(self)
        rows, columns = np.nonzero(weights)
        near, near_weights = self.of(batch.items[rows, columns])  # (n, K)
        cells = near + (rows * n_items)[:, None]
        products = near_weights * weights[rows, columns][:, None]
        scores = np.bincount(cells.ravel(), products.ravel(), minlength=len(batch) * n_items)
        return scores.reshape(len(batch), n_items).astype(np.float32)

    def save(self, folder: Path, name: str) -> None:
        """Two .npy files."""
        np.save(folder / f"{name}_items.npy", self.items, allow_pickle=False)
        np.save(folder / f"{name}_weights.npy", self.weights, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, name: str) -> "Neighbours":
        """Map what ``save`` wrote: gigabytes where there are many items, of which processes share what they read."""
        return cls(
            np.asarray(np.load(folder / f"{name}_items.npy", allow_pickle=False, mmap_mode="r")),
            np.asarray(np.load(folder / f"{name}_weights.npy", allow_pickle=False, mmap_mode="r")),
        )


def strongest_of_rows(block: NDArray[np.float32], width: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns and values of the largest absolute values of each row, strongest first."""
    import torch  # much faster than numpy's partition; fitting only, never serving

    kept = torch.from_numpy(np.abs(block)).topk(width, dim=1).indices.numpy()
    return kept.astype(np.int32), np.take_along_axis(block, kept, axis=1)
