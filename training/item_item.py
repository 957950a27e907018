"""The item-item head: which items speak for which, in closed form, from behaviour *and* from text.

EASE (Steck 2019) regresses every item on all others. Here the rows of that regression are not only users but also their
sessions or windows (long histories blur co-occurrence) and the whitened language-model vectors of all items (so items
that nobody has met have weights too). The inverse is taken in place in float32, one V×V matrix in all; rows are then
cut to their strongest neighbours.

Sizes: up to ``max_items`` the matrix is dense (10 s and 400 MB at 10k items). In a larger catalogue that is so for the
most met ``max_items``, and every other item is joined to them alone (``rare_items.py``).
"""

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_matrix, vstack

from training.neighbours import Neighbours, strongest_of_rows
from training.rare_items import Core, joined
from training.snapshot import Events

logger = logging.getLogger(__name__)

RowKind = Literal["none", "sessions", "windows"]
_BLOCK = 1_024


@dataclass(frozen=True)
class ItemItemConfig:
    """What the grid on validation chooses from."""

    ridge: float = 300.0
    """λ: how strongly weights shrink towards 0."""
    text_weight: float = 300.0
    """α: how much one dimension of text counts beside one user; 0 leaves text out."""
    normalisation: float = 0.0
    """γ: how far an item's weights are freed of how often it is met; 0 is EASE."""
    extra_rows: RowKind = "windows"
    """Rows beside the users' whole histories."""
    window: int = 20
    """Items per window; windows overlap by half."""
    neighbours: int = 200
    """Weights kept per item; fewer cost quality, more cost time at serving."""
    max_items: int = 12_000
    """Largest dense problem."""


def user_rows(events: Events, n_items: int) -> csr_matrix:
    """(U, V) 1 where a user met an item."""
    return _binary_rows(events.user, events.item, n_items)


def session_rows(events: Events, n_items: int) -> csr_matrix:
    """(S, V) 1 where a session met an item; a session with one item says nothing about pairs, and is left out."""
    key = events.user.astype(np.int64) * (int(events.session.max(initial=0)) + 1) + events.session
    return _with_pairs(_binary_rows(key, events.item, n_items))


def window_rows(events: Events, n_items: int, size: int) -> csr_matrix:
    """(W, V) 1 where a run of ``size`` successive interactions of a user met an item; runs overlap by half."""
    stride = max(size // 2, 1)
    position = np.arange(len(events)) - events.first_of_user
    # The run that starts at multiple m of the stride covers positions m·stride … m·stride+size−1: two an event.
    last = position // stride
    windows_of_user = int(last.max(initial=0)) + 1
    key = events.user.astype(np.int64) * windows_of_user + last
    earlier = last > 0
    keys = np.concatenate([key, key[earlier] - 1])
    return _with_pairs(_binary_rows(keys, np.concatenate([events.item, events.item[earlier]]), n_items))


def extra_rows(events: Events, n_items: int, config: ItemItemConfig) -> csr_matrix | None:
    """The rows beside the users' that a configuration asks for."""
    if config.extra_rows == "sessions":
        return session_rows(events, n_items)
    return window_rows(events, n_items, config.window) if config.extra_rows == "windows" else None


def evened(rows: csr_matrix) -> csr_matrix:
    """The same rows, a long one counting less than its length says: each pair in it by 1/√length, 1 on average.

    A list of hundreds is a wholesaler's order. On the invoices of Online Retail worth 3 % of NDCG@10 on validation.
    """
    lengths = np.maximum(np.diff(rows.indptr), 1)
    scale = np.sqrt(np.sqrt(lengths.mean() / lengths)) if len(lengths) else np.ones(0)
    data = rows.data * np.repeat(scale, np.diff(rows.indptr)).astype(np.float32)
    return csr_matrix((data, rows.indices, rows.indptr), shape=rows.shape)


def add_gram(total: NDArray[np.float32], rows: csr_matrix) -> None:
    """Add rowsᵀ·rows to ``total`` (V, V), block by block so that no second matrix of that size exists."""
    columns = rows.T.tocsr()
    for start in range(0, total.shape[0], _BLOCK):
        total[start : start + _BLOCK] += (columns[start : start + _BLOCK] @ rows).toarray()


def add_text_gram(total: NDArray[np.float32], vectors: NDArray[np.float32], weight: float) -> None:
    """Add weight·Z·Zᵀ of the item vectors Z (V, E)."""
    for start in range(0, total.shape[0], _BLOCK):
        total[start : start + _BLOCK] += np.float32(weight) * (vectors[start : start + _BLOCK] @ vectors.T)


def invert_in_place(gram: NDArray[np.float32], ridge: float) -> NDArray[np.float32]:
    """(G + λI)⁻¹ in the memory of symmetric G; only the upper triangle of the returned C-ordered array is valid."""
    gram[np.diag_indices_from(gram)] += np.float32(ridge)
    # LAPACK counts columns first: the transposed view is its order, and its lower triangle is our upper one.
    factor, info = lapack.spotrf(gram.T, lower=1, overwrite_a=1, clean=0)
    if info == 0:
        inverse, info = lapack.spotri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise ValueError(
            f"the item-item matrix is not positive definite (LAPACK info {info}) at ridge {ridge}: raise it"
        )
    return np.asarray(inverse.T, dtype=np.float32)


def mirror_upper(matrix: NDArray[np.float32]) -> None:
    """Copy the upper triangle onto the lower one, block by block."""
    for start in range(0, len(matrix), _BLOCK):
        stop = min(start + _BLOCK, len(matrix))
        corner = matrix[start:stop, start:stop]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T


def weights_of(precision: NDArray[np.float32], width: int, normalisation: float = 0.0) -> Neighbours:
    """B = −P / diag(P)^(1 − γ) by column, without its diagonal, cut to the strongest ``width`` of each row.

    The less is known of an item, the larger is its P_jj, which EASE divides by: what is met often then leads the lists.
    With a γ of .5 only half of that is left, as in partial correlations. NDCG@10 of this head alone on validation,
    Online Retail: .0869 (0), .0881 (.2), .0861 (.5); MovieLens-small: .0568 (0), .0578 (.3), .0584 (.45).
    """
    scale = -(precision.diagonal() ** np.float32(normalisation - 1))
    items = np.empty((len(precision), min(width, len(precision))), dtype=np.int32)
    weights = np.empty(items.shape, dtype=np.float32)
    for start in range(0, len(precision), _BLOCK):
        block = (precision[start : start + _BLOCK] * scale[None, :]).astype(np.float32, copy=False)
        own = np.arange(len(block))
        block[own, start + own] = 0
        items[start : start + _BLOCK], weights[start : start + _BLOCK] = strongest_of_rows(block, items.shape[1])
    return Neighbours(items, weights)


def fit_item_item(events: Events, vectors: NDArray[np.float32], config: ItemItemConfig) -> Neighbours:
    """Weights of all V items, from training events and item vectors (V, E)."""
    n_items = len(vectors)
    chosen = dense_items(events, n_items, config.max_items)
    rows, extra = user_rows(events, n_items), extra_rows(events, n_items, config)
    if extra is not None:
        rows = vstack([rows, evened(extra)], format="csr")
    gram = np.zeros((len(chosen), len(chosen)), dtype=np.float32)
    add_gram(gram, rows[:, chosen])
    if config.text_weight > 0:
        add_text_gram(gram, vectors[chosen], config.text_weight)
    precision = invert_in_place(gram, config.ridge)
    mirror_upper(precision)
    fitted = weights_of(precision, config.neighbours, config.normalisation)
    if len(chosen) == n_items:
        return fitted
    core = Core(chosen, precision, fitted, config.normalisation)
    return joined(core, rows, vectors, config.text_weight, config.ridge)


def dense_items(events: Events, n_items: int, max_items: int) -> NDArray[np.int64]:
    """The items of a dense problem: all, or the most met ones where the matrix would be too large."""
    if n_items <= max_items:
        return np.arange(n_items)
    counts = np.bincount(events.item, minlength=n_items)
    return np.sort(np.argsort(-counts, kind="stable")[:max_items])


def _binary_rows(keys: NDArray[np.int64] | NDArray[np.int32], items: NDArray[np.int32], n_items: int) -> csr_matrix:
    _, row = np.unique(keys, return_inverse=True)
    n_rows = int(row.max(initial=-1)) + 1
    rows = csr_matrix((np.ones(len(items), dtype=np.float32), (row, items)), shape=(n_rows, n_items))
    rows.sum_duplicates()
    rows.data[:] = 1
    return rows


def _with_pairs(rows: csr_matrix) -> csr_matrix:
    return rows[np.diff(rows.indptr) > 1]
