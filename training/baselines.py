"""What the model must beat: closed-form recommenders that read the same decayed histories and the same popularity.

What can be set in them stands in ``baseline_families.py``, how it is tuned in ``baseline_tuning.py``; those of irspack
are in ``irspack_baselines.py``, and SASRec in ``sasrec.py``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from training.evaluate import Scorer
from training.history import HistoryBatch, Recency
from training.item_item import add_gram, dense_items, invert_in_place, mirror_upper, user_rows
from training.neighbours import Neighbours, strongest_of_rows
from training.own_history import own_history_scores
from training.snapshot import Events

Scores = NDArray[np.float32]
_BLOCK = 1_024
_MAX_DENSE = 12_000
"""Users or items of a matrix that is inverted: 600 MB."""


def evenly(decay: float) -> Recency:
    """Items count less by age alone, whatever session they are of."""
    return Recency(a=0.5, session_decay=decay, long_term_decay=decay)


@dataclass(frozen=True)
class Popularity:
    """One column of the daily popularity: 1 the last 7 days, 3 all time.

    What is equal there, such as all that nobody met this week, is ranked by all time: in a quiet week a lottery over
    the catalogue would be a baseline that anything beats.
    """

    column: int

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """The same for everybody, as of each moment's day."""
        all_time = tables[..., 3]
        scores = tables[..., self.column] + all_time / (all_time.max(axis=1, keepdims=True) + 1)
        return np.asarray(scores[table_of], dtype=np.float32)


@dataclass(frozen=True)
class NeighbourModel:
    """Item-to-item weights read with a decayed history: item-kNN."""

    neighbours: Neighbours
    recency: Recency

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """Sum of the history's rows."""
        return self.neighbours.score(batch, self.recency.weights(batch))


@dataclass(frozen=True)
class SparseModel:
    """Item-to-item weights as a sparse matrix: item-kNN, RP3beta."""

    weights: csr_matrix  # (V, V) row j: what item j speaks for
    recency: Recency

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """History · W."""
        history = history_matrix(batch, self.recency, self.weights.shape[1])
        return np.asarray((history @ self.weights).toarray(), dtype=np.float32)


@dataclass(frozen=True)
class TextNeighbours:
    """Likeness of whitened text to what the user met; it knows no other people."""

    vectors: Scores  # (V, E)
    recency: Recency

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """History · Z · Zᵀ."""
        profile = history_matrix(batch, self.recency, len(self.vectors)) @ self.vectors
        return np.asarray(profile @ self.vectors.T, dtype=np.float32)


@dataclass(frozen=True)
class OwnHistory:
    """What the user met before, the newer and the more often the better; then by popularity. For repeats alone."""

    recency: Recency

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """What the own history says, and far below it the popularity of all time."""
        all_time = tables[..., 3]
        popular: Scores = (1e-4 * all_time / (all_time.max(axis=1, keepdims=True) + 1)).astype(np.float32)
        return popular[table_of] + own_history_scores(batch, self.recency, all_time.shape[1])


@dataclass(frozen=True)
class WithFallback:
    """A model that says nothing of users without a history, and what they are shown instead."""

    model: Scorer
    column: int
    """Of the popularity table."""

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """Popularity where there is no history."""
        scores = self.model.score_batch(batch, tables, table_of)
        unknown = np.flatnonzero(batch.lengths == 0)
        if len(unknown):
            scores[unknown] = Popularity(self.column).score_batch(batch.rows(unknown), tables, table_of[unknown])
        return scores


@dataclass(frozen=True)
class WithTrend:
    """A linear model plus the logarithm of recent popularity; the model's scores are brought to a spread of 1 first."""

    model: Scorer
    weight: float
    column: int
    """Of the popularity table: 0 a day, 1 a week, 2 thirty days."""

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """Where the model says nothing, popularity alone."""
        scores = self.model.score_batch(batch, tables, table_of)
        spread = scores.std(axis=1, keepdims=True)
        trend = np.log1p(tables[..., self.column])[table_of]
        scores /= np.where(spread > 0, spread, 1)
        return np.asarray(scores + np.float32(self.weight) * trend, dtype=np.float32)


@dataclass(frozen=True)
class FewUsersEase:
    """EASE where users are fewer than items: by Woodbury's identity exact, without a V×V matrix."""

    rows: csr_matrix  # (U, V)
    kernel: NDArray[np.float32]  # (U, U) (λI + X·Xᵀ)⁻¹
    diagonal: NDArray[np.float32]  # (V,) of λP
    recency: Recency

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """History · B with B = −P / diag(P) off the diagonal, where λP = I − Xᵀ·kernel·X."""
        history = history_matrix(batch, self.recency, self.rows.shape[1])
        through = np.asarray((history @ self.rows.T).todense(), dtype=np.float32) @ self.kernel  # (B, U)
        dense: Scores = through @ self.rows / self.diagonal
        own = history.tocoo()
        dense[own.row, own.col] += own.data * (1 - 1 / self.diagonal[own.col])
        return dense


@dataclass(frozen=True)
class ManyUsersEase:
    """EASE with its whole matrix, over all items or the most met ones."""

    chosen: NDArray[np.int64]  # (C,)
    weights: NDArray[np.float32]  # (C, C)
    n_items: int
    recency: Recency

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """History · B."""
        scores = np.zeros((len(batch), self.n_items), dtype=np.float32)
        scores[:, self.chosen] = history_matrix(batch, self.recency, self.n_items)[:, self.chosen] @ self.weights
        return scores


def history_matrix(batch: HistoryBatch, recency: Recency, n_items: int) -> csr_matrix:
    """(B, V) weights of histories; an item that was met again counts once, as in training, by its newest time."""
    weights = recency.weights(batch)[:, ::-1]
    rows, columns = np.nonzero(weights)  # by row, the newest first
    items = batch.items[:, ::-1][rows, columns]
    _, newest = np.unique(rows * np.int64(n_items) + items, return_index=True)
    rows, columns = rows[newest], columns[newest]
    return csr_matrix((weights[rows, columns], (rows, items[newest])), shape=(len(batch), n_items))


def fit_ease(events: Events, n_items: int, ridge: float, recency: Recency) -> FewUsersEase | ManyUsersEase:
    """EASE (Steck 2019) in the form that fits the number of users: exact, but that of many users and more items than
    can be inverted knows the most met ones only.
    """
    rows = user_rows(events, n_items)
    if rows.shape[0] <= min(n_items // 2, _MAX_DENSE):
        kernel = _inverse_gram(rows.T.tocsr(), ridge)
        return FewUsersEase(rows, kernel, _unexplained(rows, kernel), recency)
    chosen = dense_items(events, n_items, _MAX_DENSE)
    inverse = _inverse_gram(rows[:, chosen], ridge)
    inverse *= (-1 / inverse.diagonal())[None, :]
    inverse[np.diag_indices_from(inverse)] = 0
    return ManyUsersEase(chosen, inverse, n_items, recency)


def _inverse_gram(rows: csr_matrix, ridge: float) -> NDArray[np.float32]:
    """(λI + Xᵀ·X)⁻¹ of rows X."""
    gram = np.zeros((rows.shape[1], rows.shape[1]), dtype=np.float32)
    add_gram(gram, rows)
    inverse = invert_in_place(gram, ridge)
    mirror_upper(inverse)
    return inverse


def _unexplained(rows: csr_matrix, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(V,) diagonal of I − Xᵀ·kernel·X."""
    columns = rows.T.tocsr()
    blocks = (columns[start : start + _BLOCK] for start in range(0, columns.shape[0], _BLOCK))
    return np.concatenate([1 - np.asarray(block.multiply(block @ kernel).sum(axis=1)).ravel() for block in blocks])


def fit_item_knn(
    events: Events, n_items: int, shrinkage: float, recency: Recency, neighbours: int = 200
) -> SparseModel:
    """Cosine of items by their users, shrunk where few users stand behind it; each item listens to its nearest ones.

    Cutting by the item that is scored, rather than by the one that was met, matters: it was worth a third on
    MovieLens-small.
    """
    rows = user_rows(events, n_items)
    root = np.sqrt(np.asarray(rows.sum(axis=0), dtype=np.float32).ravel())
    columns = rows.T.tocsr()
    width = min(neighbours, n_items)
    items = np.empty((n_items, width), dtype=np.int32)
    weights = np.empty(items.shape, dtype=np.float32)
    for start in range(0, n_items, _BLOCK):
        block = (columns[start : start + _BLOCK] @ rows).toarray()
        block /= np.maximum(root[start : start + _BLOCK, None] * root[None, :] + np.float32(shrinkage), 1e-6)
        own = np.arange(len(block))
        block[own, own + start] = 0
        items[start : start + _BLOCK], weights[start : start + _BLOCK] = strongest_of_rows(block, width)
    listening = np.repeat(np.arange(n_items), width)
    matrix = csr_matrix((weights.ravel(), (items.ravel(), listening)), shape=(n_items, n_items))
    matrix.eliminate_zeros()
    return SparseModel(matrix, recency)
