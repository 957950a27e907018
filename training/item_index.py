"""A linear head over many items: which of them score highest, without scoring all, and how all of them are spread.

A large table is indexed by faiss: items are sorted into lists around centres, by the leading directions of their
vectors, a byte each, and a question reads the lists whose centres it likes best. Whoever asks scores what is found
exactly. Mean and spread of all scores follow from those of the vectors, in closed form.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Items = NDArray[np.intp]
Mask = NDArray[np.bool_]

SCANNED_CELLS: Final = 200_000
"""Numbers of a table up to which all of it is read: that takes less time than choosing. Reading more also drives what
the rest of an answer works with out of the processor's cache."""
INDEXED_SIZE: Final = 64
"""Leading directions by which vectors are indexed."""
N_PROBES: Final = 24
"""Lists read for one question. Recall falls with fewer, time rises with more."""
_MORE_PROBES: Final = 4
"""Times as many lists, where those read hold too little that may be shown."""
_MOMENT_ROWS: Final = 100_000
"""Rows from which mean and covariance are taken: of more, an even sample, which is right within a few thousandths."""
_BLOCK: Final = 16_384
_ROUNDING: Final = 1e-5
_SAMPLED_EVERY: Final = 8


@dataclass(frozen=True)
class LinearHead:
    """Scores = query · vectors + bias."""

    vectors: Floats  # (V, D)
    bias: Floats | None  # (V,)
    mean: Floats  # (D + 1,) of vectors and bias
    covariance: Floats  # (D + 1, D + 1)
    longest: float
    """Length of the longest vector."""
    index: "Index | None"
    """None where all of the table is read."""

    @classmethod
    def of(cls, vectors: Floats, bias: Floats | None = None, scanned_cells: int = SCANNED_CELLS) -> Self:
        """Half a minute for a million items; a small table needs no index."""
        mean, covariance = _moments(vectors, bias)
        index = Index.of(vectors, bias, covariance) if vectors.size > scanned_cells else None
        return cls(vectors, bias, mean, covariance, _longest(vectors), index)

    def grown(self, vectors: Floats, bias: Floats | None = None) -> Self:
        """With more rows, which are not in the index: ``n_indexed`` says which they are."""
        new = slice(len(self.vectors), None)
        added = _with_bias(vectors[new], None if bias is None else bias[new])
        mean, covariance = _moments_with(self.mean, self.covariance, len(self.vectors), added)
        longest = max(self.longest, _longest(vectors[new]))
        return replace(self, vectors=vectors, bias=bias, mean=mean, covariance=covariance, longest=longest)

    def read_from(self, vectors: Floats, bias: Floats | None) -> Self:
        """The same, of arrays that hold the same numbers."""
        return replace(self, vectors=vectors, bias=bias)

    @property
    def n_indexed(self) -> int:
        """Rows that ``favourites`` can find; whoever asks looks at the others as well."""
        return len(self.vectors) if self.index is None else int(self.index.lists.ntotal)

    def asked(self, query: Floats) -> "Answer":
        """What a query (D,) is answered with."""
        if self.index is None:
            scores = self.vectors @ query
            return Whole(scores if self.bias is None else scores + self.bias)
        return _Indexed(self, self.index, query)


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

    def furthest(self) -> float:
        """What no score is further from 0 than."""
        ...


@dataclass(frozen=True)
class Whole:
    """All the scores, written out."""

    scores: Floats  # (V,)
    least: float = -np.inf
    """What favourites have more than."""

    def favourites(self, n: int, may_be_shown: Mask) -> Items:
        """About the n items of the highest scores among those that may be shown (V,), in no order."""
        scores = np.where(may_be_shown, self.scores, np.float32(-np.inf))
        items = about_largest(scores, n)
        return items[scores[items] > self.least]

    def at(self, items: Items) -> Floats:
        """(C,) the scores of some items."""
        return self.scores[items]

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation of all the scores."""
        mean = self.scores.mean()
        centred = self.scores - mean
        return float(mean), float(np.sqrt(centred @ centred / len(centred)))

    def furthest(self) -> float:
        """What no score is further from 0 than."""
        return float(max(self.scores.max(), -self.scores.min()))


@dataclass(frozen=True)
class _Indexed:
    head: LinearHead
    index: "Index"
    query: Floats

    def favourites(self, n: int, may_be_shown: Mask) -> Items:
        return self.index.favourites(self.query, n, may_be_shown)

    def at(self, items: Items) -> Floats:
        scores: Floats = self.head.vectors[items] @ self.query
        return scores if self.head.bias is None else scores + self.head.bias[items]

    def moments(self) -> tuple[float, float]:
        asked = np.append(self.query, np.float32(1))
        variance = float(asked @ (self.head.covariance @ asked))
        return float(asked @ self.head.mean), max(variance, 0.0) ** 0.5

    def furthest(self) -> float:
        bias = 0.0 if self.head.bias is None else float(np.abs(self.head.bias).max())
        return float(np.linalg.norm(self.query)) * self.head.longest * (1 + _ROUNDING) + bias


@dataclass(frozen=True)
class Index:
    """The items' leading directions in faiss' lists."""

    projection: Floats  # (D + 1, S)
    lists: Any  # faiss.IndexIVFScalarQuantizer

    @classmethod
    def of(cls, vectors: Floats, bias: Floats | None, covariance: Floats) -> Self:
        """About √V lists of about √V items each, in the order of the rows."""
        import faiss

        faiss.omp_set_num_threads(1)  # one question is answered by one thread
        _, directions = np.linalg.eigh(covariance)  # ascending
        projection = np.ascontiguousarray(directions[:, ::-1][:, :INDEXED_SIZE], dtype=np.float32)
        size, n_lists = projection.shape[1], max(int(np.sqrt(len(vectors))), 1)
        lists = faiss.IndexIVFScalarQuantizer(
            *(faiss.IndexFlatIP(size), size, n_lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT),
            False,  # bytes of the directions themselves: those of what they differ from a centre by take longer to read
        )
        step = max(len(vectors) // (n_lists * lists.cp.max_points_per_centroid), 1)
        lists.train(_with_bias(vectors[::step], None if bias is None else bias[::step]) @ projection)
        for start in range(0, len(vectors), _BLOCK):
            block = slice(start, start + _BLOCK)
            lists.add(_with_bias(vectors[block], None if bias is None else bias[block]) @ projection)
        return cls(projection, lists)

    def favourites(self, query: Floats, n: int, may_be_shown: Mask) -> Items:
        """About the n items of the highest scores among those that may be shown, in no order."""
        import faiss

        bits = np.packbits(may_be_shown, bitorder="little")
        asked = (np.append(query, np.float32(1)) @ self.projection)[None]
        n_probes = N_PROBES
        while True:
            # faiss' stubs describe the constructors of C++, not those of its Python.
            selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg,arg-type]
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=n_probes)  # type: ignore[call-arg]
            _, found = self.lists.search(asked, n, params=parameters)
            items: Items = found[0][found[0] >= 0]
            if len(items) == n or n_probes >= self.lists.nlist:
                return items
            n_probes *= _MORE_PROBES  # most of what is near has been met, or cannot be had


def largest(scores: Floats, n: int) -> Items:
    """Where the n largest values stand, in no order."""
    if n >= len(scores):
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - n)[len(scores) - n :]


def about_largest(scores: Floats, n: int) -> Items:
    """The same by the level that an even sample suggests: much faster for many scores, and not exactly n."""
    if n * _SAMPLED_EVERY >= len(scores):
        return largest(scores, n)
    place = max(n // _SAMPLED_EVERY, 1) - 1
    # Negated, since numpy is ten times slower at finding a place near the end where most scores are the same.
    level = -np.partition(-scores[::_SAMPLED_EVERY], place)[place]
    return np.flatnonzero(scores >= level)


def _moments(vectors: Floats, bias: Floats | None) -> tuple[Floats, Floats]:
    step = -(-len(vectors) // _MOMENT_ROWS)
    sample = _with_bias(vectors[::step], None if bias is None else bias[::step])
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = sample - mean
    return mean, centred.T @ centred / np.float32(len(sample))


def _moments_with(mean: Floats, covariance: Floats, n: int, added: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of n rows and some more (N, D + 1), from those of the n (Chan, Golub and LeVeque, 1979)."""
    if not len(added):
        return mean, covariance
    share = len(added) / (n + len(added))
    centre = added.mean(axis=0)
    centred, apart = added - centre, centre - mean
    own = centred.T @ centred / len(added)
    mixed = (1 - share) * covariance + share * own + share * (1 - share) * np.outer(apart, apart)
    return (mean + share * apart).astype(np.float32), mixed.astype(np.float32)


def _longest(vectors: Floats) -> float:
    return float(np.sqrt(np.einsum("vd,vd->v", vectors, vectors).max(initial=0)))


def _with_bias(vectors: Floats, bias: Floats | None) -> Floats:
    """(n, D) -> (n, D + 1), so that a bias is one more direction."""
    column = np.zeros(len(vectors), dtype=np.float32) if bias is None else bias
    return np.concatenate([vectors, column[:, None]], axis=1)
