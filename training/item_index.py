"""A linear head over many items: which of them score highest, without scoring all, and how all of them are spread.

Items are sorted into lists around centres (k-means), and a question reads the lists whose centres it likes best, which
is a small part of a large table, in a row. Wide vectors are listed by their leading directions only; whoever asks
scores what is found exactly. Mean and spread of all scores follow from those of the vectors, in closed form.
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Items = NDArray[np.intp]
Mask = NDArray[np.bool_]

SCANNED_CELLS = 1_000_000
"""Numbers of a table up to which all of it is read: that takes less time than choosing."""
LISTED_SIZE = 64
"""Leading directions by which vectors are listed."""
N_PROBES = 24
"""Lists read for one question. Recall falls with fewer, time rises with more."""
_MORE_PROBES = 4
"""Times as many lists, where those read hold too little that may be shown."""
_ROUNDS = 5
_ROWS_PER_LIST = 40
_MOMENT_ROWS = 100_000
"""Rows from which mean and covariance are taken: of more, an even sample, which is right within a few thousandths."""
_BLOCK = 16_384
_SAMPLED_EVERY = 8


@dataclass(frozen=True)
class LinearHead:
    """Scores = query · vectors + bias."""

    vectors: Floats  # (V, D)
    bias: Floats | None  # (V,)
    mean: Floats  # (D + 1,) of vectors and bias
    covariance: Floats  # (D + 1, D + 1)
    lists: "Lists | None"
    """None where all of the table is read."""

    @classmethod
    def of(cls, vectors: Floats, bias: Floats | None = None, scanned_cells: int = SCANNED_CELLS) -> Self:
        """Half a minute for a million items; a small table needs no lists."""
        mean, covariance = _moments(vectors, bias)
        lists = Lists.of(vectors, bias, covariance) if vectors.size > scanned_cells else None
        return cls(vectors, bias, mean, covariance, lists)

    def grown(self, vectors: Floats, bias: Floats | None = None) -> Self:
        """With more rows, which stand in no list: ``n_listed`` says which they are."""
        mean, covariance = _moments(vectors, bias)
        return replace(self, vectors=vectors, bias=bias, mean=mean, covariance=covariance)

    @property
    def n_listed(self) -> int:
        """Rows that ``favourites`` can find; whoever asks looks at the others as well."""
        return len(self.vectors) if self.lists is None else len(self.lists.items)

    def asked(self, query: Floats) -> "Answer":
        """What a query (D,) is answered with."""
        if self.lists is None:
            scores = self.vectors @ query
            return _Whole(scores if self.bias is None else scores + self.bias)
        return _Listed(self, self.lists, query)


class Answer(Protocol):
    """All the scores of one query, of which few are looked at."""

    def favourites(self, n: int, may_be_shown: Mask) -> Items:
        """About the n items of the highest scores among those that may be shown (V,), in no order."""
        ...

    def at(self, items: Items) -> Floats:
        """(C,) the scores of some items."""
        ...

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation of all the scores."""
        ...


@dataclass(frozen=True)
class _Whole:
    scores: Floats  # (V,)

    def favourites(self, n: int, may_be_shown: Mask) -> Items:
        items = np.flatnonzero(may_be_shown)
        return items[about_largest(self.scores[items], n)]

    def at(self, items: Items) -> Floats:
        return self.scores[items]

    def moments(self) -> tuple[float, float]:
        mean = self.scores.mean()
        centred = self.scores - mean
        return float(mean), float(np.sqrt(centred @ centred / len(centred)))


@dataclass(frozen=True)
class _Listed:
    head: LinearHead
    lists: "Lists"
    query: Floats

    def favourites(self, n: int, may_be_shown: Mask) -> Items:
        return self.lists.favourites(self.query, n, may_be_shown)

    def at(self, items: Items) -> Floats:
        scores: Floats = self.head.vectors[items] @ self.query
        return scores if self.head.bias is None else scores + self.head.bias[items]

    def moments(self) -> tuple[float, float]:
        asked = np.append(self.query, np.float32(1))
        variance = float(asked @ (self.head.covariance @ asked))
        return float(asked @ self.head.mean), max(variance, 0.0) ** 0.5


@dataclass(frozen=True)
class Lists:
    """All items, those of one list next to each other."""

    projection: Floats  # (D + 1, S)
    centres: Floats  # (L, S)
    starts: NDArray[np.int64]  # (L + 1,)
    items: NDArray[np.int32]  # (V,) in the order of the lists
    vectors: Floats  # (V, S) in the same order

    @classmethod
    def of(cls, vectors: Floats, bias: Floats | None, covariance: Floats) -> Self:
        """About √V lists of about √V items each."""
        n_lists = max(int(np.sqrt(len(vectors))), 1)
        projection = _leading_directions(covariance, LISTED_SIZE)
        projected = np.empty((len(vectors), projection.shape[1]), dtype=np.float32)
        for start in range(0, len(vectors), _BLOCK):
            block = slice(start, start + _BLOCK)
            projected[block] = _with_bias(vectors[block], None if bias is None else bias[block]) @ projection
        step = max(len(vectors) // (n_lists * _ROWS_PER_LIST), 1)
        centres = _centres(projected[::step], n_lists)
        list_of = _nearest(projected, centres)
        order = np.argsort(list_of, kind="stable").astype(np.int32)
        starts = np.searchsorted(list_of[order], np.arange(n_lists + 1))
        return cls(projection, centres, starts, order, projected[order])

    def favourites(self, query: Floats, n: int, may_be_shown: Mask) -> Items:
        """About the n items of the highest scores among those that may be shown, in no order."""
        asked = np.append(query, np.float32(1)) @ self.projection
        liking = self.centres @ asked
        n_probes = N_PROBES
        while True:
            probed = largest(liking, n_probes)
            spans = [slice(self.starts[each], self.starts[each + 1]) for each in probed]
            items = np.concatenate([self.items[span] for span in spans])
            shown = np.flatnonzero(may_be_shown[items])
            if len(shown) >= n or n_probes >= len(liking):
                break
            n_probes *= _MORE_PROBES  # most of what is near has been met, or cannot be had
        scores = np.concatenate([self.vectors[span] @ asked for span in spans])[shown]
        return items[shown[about_largest(scores, n)]].astype(np.intp)


def largest(scores: Floats, n: int) -> Items:
    """Where the n largest values stand, in no order."""
    if n >= len(scores):
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - n)[len(scores) - n :]


def about_largest(scores: Floats, n: int) -> Items:
    """The same by the level that an even sample suggests: much faster for many scores, and not exactly n."""
    if n * _SAMPLED_EVERY >= len(scores):
        return largest(scores, n)
    sample = scores[::_SAMPLED_EVERY]
    place = len(sample) - max(n // _SAMPLED_EVERY, 1)
    return np.flatnonzero(scores >= np.partition(sample, place)[place])


def _moments(vectors: Floats, bias: Floats | None) -> tuple[Floats, Floats]:
    step = -(-len(vectors) // _MOMENT_ROWS)
    sample = _with_bias(vectors[::step], None if bias is None else bias[::step])
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = sample - mean
    return mean, centred.T @ centred / np.float32(len(sample))


def _with_bias(vectors: Floats, bias: Floats | None) -> Floats:
    """(n, D) -> (n, D + 1), so that a bias is one more direction."""
    column = np.zeros(len(vectors), dtype=np.float32) if bias is None else bias
    return np.concatenate([vectors, column[:, None]], axis=1)


def _leading_directions(covariance: Floats, size: int) -> Floats:
    _, directions = np.linalg.eigh(covariance)  # ascending
    return np.ascontiguousarray(directions[:, ::-1][:, :size], dtype=np.float32)


def _centres(sample: Floats, n_lists: int) -> Floats:
    """(L, S) by k-means from an even sample."""
    centres = sample[np.linspace(0, len(sample) - 1, n_lists).astype(np.int64)].copy()
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, centres)
        counts = np.bincount(nearest, minlength=n_lists)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, sample)
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres).astype(np.float32)
    return centres


def _nearest(vectors: Floats, centres: Floats) -> NDArray[np.int64]:
    """(n,) the nearest centre of each vector."""
    nearest = np.empty(len(vectors), dtype=np.int64)
    half_lengths = 0.5 * np.square(centres).sum(axis=1)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        nearest[start : start + _BLOCK] = np.argmax(block @ centres.T - half_lengths, axis=1)
    return nearest
