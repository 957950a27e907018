"""The transition head: what people met soon *after* an item, in that direction, sooner counting more."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from training.neighbours import Neighbours
from training.snapshot import Events


@dataclass(frozen=True)
class TransitionConfig:
    """How far a transition reaches."""

    steps: int = 5
    """Items after an item that count as its followers."""
    step_decay: float = 0.7
    """Factor per further step."""
    shrinkage: float = 10.0
    """Interactions added to every item, so that one coincidence is no rule."""
    neighbours: int = 100


def fit_transitions(events: Events, n_items: int, config: TransitionConfig) -> Neighbours:
    """Rows: an item; weights: its followers, over the root of how common both are."""
    first, second, counts = [], [], []
    for step in range(1, config.steps + 1):
        same_user = np.flatnonzero(events.user[step:] == events.user[:-step])
        first.append(events.item[same_user])
        second.append(events.item[same_user + step])
        counts.append(np.full(len(same_user), config.step_decay ** (step - 1), dtype=np.float32))
    pairs = (np.concatenate(first), np.concatenate(second))
    followed = csr_matrix((np.concatenate(counts), pairs), shape=(n_items, n_items))
    followed.setdiag(0)
    followed.eliminate_zeros()
    common = np.sqrt(np.bincount(events.item, minlength=n_items) + config.shrinkage).astype(np.float32)
    rows = np.repeat(np.arange(n_items), np.diff(followed.indptr))
    followed.data /= common[rows] * common[followed.indices]
    return strongest_of_sparse(followed, config.neighbours)


def strongest_of_sparse(matrix: csr_matrix, width: int) -> Neighbours:
    """Cut each row of a sparse matrix to its largest weights."""
    width = max(min(width, matrix.shape[1]), 1)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))  # by row, strongest first, ties by column
    place = np.arange(len(order)) - matrix.indptr[rows[order]]
    kept = order[place < width]
    items = np.zeros((matrix.shape[0], width), dtype=np.int32)
    weights = np.zeros(items.shape, dtype=np.float32)
    cells = (rows[kept], place[place < width])
    items[cells], weights[cells] = matrix.indices[kept], matrix.data[kept]
    return Neighbours(items, weights)
