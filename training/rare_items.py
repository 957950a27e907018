"""Items beyond the dense item-item problem: each is joined to it alone, exactly, and to no other rare item.

The dense problem is the C most met items (the core) with precision matrix P = (G + λI)⁻¹. Take one rare item t with its
column g = G[core, t] and G_tt. EASE of the core *and t* follows from P by the inverse of a bordered matrix:

    b = P·g                      what the core speaks for t: the regression of t on the core
    s = G_tt + λ − gᵀ·b          what that leaves unexplained; the joint precision has 1/s at t and −b/s beside it
    P'_cc = P_cc + b_c²/s        so t speaks for core item c with (b_c / s) / P'_cc

What is left out is what rare items say of each other, so each takes, and says, the whole of what several would share:
their vectors are shortened and their weights lowered for it. The cost grows with the pairs of rare and core items that
some row holds, times C.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from training.neighbours import Neighbours, strongest_of_rows

_BLOCK = 512
"""Rare items at once: 25 MB for each table of theirs beside a core of 12k."""

Weights = NDArray[np.float32]

TEXT_LENGTH = np.float32(0.3)
"""Of a rare item's vector; others have 1. NDCG@10 on validation, this head alone, MovieLens-small with a core of 2,000
of its 9,742 items: .0436 with rare items left out, .0379 with a length of 1, .0457 with .3, .0449 with 0."""
VOICE = np.float32(0.3)
"""What the weights of a rare item's row are multiplied by. Online Retail with a core of 800 of 3,805 items: .0652 with
rare items left out, .0650 with 1, .0688 with .3, .0680 with 0; MovieLens-small as above .0456, .0458, .0455."""


@dataclass(frozen=True)
class Core:
    """The dense problem, solved."""

    chosen: NDArray[np.int64]  # (C,) ascending
    precision: Weights  # (C, C) P
    fitted: Neighbours  # over the C items
    normalisation: float = 0.0
    """γ, by which weights are divided by less than the diagonal of the precision (``item_item.weights_of``)."""


def joined(core: Core, rows: csr_matrix, vectors: Weights, text_weight: float, ridge: float) -> Neighbours:
    """Weights of all V items, cut as the core's were. ``rows`` (R, V) and ``vectors`` (V, E) are those of the fit."""
    n_items, width = len(vectors), core.fitted.items.shape[1]
    items = np.zeros((n_items, width), dtype=np.int32)
    weights = np.zeros((n_items, width), dtype=np.float32)
    strongest = (core.chosen[core.fitted.items].astype(np.int32), core.fitted.weights)
    for rare, for_rare, for_core in _blocks(core, rows, vectors, text_weight, ridge):
        best, weights[rare] = strongest_of_rows(for_core, width)
        items[rare] = core.chosen[best]
        strongest = _merged(strongest, rare.astype(np.int32), for_rare, width)
    items[core.chosen], weights[core.chosen] = strongest
    return Neighbours(items, weights)


def _blocks(
    core: Core, rows: csr_matrix, vectors: Weights, text_weight: float, ridge: float
) -> Iterator[tuple[NDArray[np.int64], Weights, Weights]]:
    """Some rare items (T,), what the core speaks for them (C, T), and they for the core (T, C)."""
    precision, diagonal = core.precision, core.precision.diagonal()
    core_rows, core_vectors = rows[:, core.chosen], vectors[core.chosen]
    columns = rows.T.tocsr()  # (V, R)
    through_text = precision @ core_vectors * np.float32(text_weight)  # (C, E)
    others = np.setdiff1d(np.arange(len(vectors)), core.chosen)
    for start in range(0, len(others), _BLOCK):
        rare = others[start : start + _BLOCK]
        met = columns[rare]  # (T, R)
        together = (met @ core_rows).tocsr()  # (T, C)
        short = TEXT_LENGTH * vectors[rare]  # (T, E)
        spoken = together @ precision + short @ through_text.T  # (T, C) b
        gram = together.toarray() + np.float32(text_weight) * (short @ core_vectors.T)
        own = np.asarray(met.multiply(met).sum(axis=1)).ravel() + text_weight * np.square(short).sum(axis=1)
        left = np.maximum(own + ridge - np.einsum("tc,tc->t", gram, spoken), ridge)[:, None]
        for_core = VOICE * (spoken / left) / (diagonal + np.square(spoken) / left) ** (1 - core.normalisation)
        for_rare = spoken / left**core.normalisation
        yield rare, for_rare.T.astype(np.float32), for_core.astype(np.float32)


def _merged(
    strongest: tuple[NDArray[np.int32], Weights], more: NDArray[np.int32], weights: Weights, width: int
) -> tuple[NDArray[np.int32], Weights]:
    """The strongest of each row, of those so far (C, K) and of more items (T,) with weights (C, T)."""
    items = np.concatenate([strongest[0], np.broadcast_to(more, weights.shape)], axis=1)
    place, kept = strongest_of_rows(np.concatenate([strongest[1], weights], axis=1), width)
    return np.take_along_axis(items, place, axis=1), kept
