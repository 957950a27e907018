"""A trained recommender grows by items it has not met: their text ranks them at once, long before a retraining.

Every head takes them as it can. Text reads them like any other. The sequence head makes their row from the text alone,
as it does in training when it hides an item's identity. The item-item and transition heads know items by who met them,
so a new one follows the items that it reads like: it is spoken for as they are, and speaks as they do. Trends count it
from its first day. numpy only: serving uses this too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.history import HistoryBatch
from training.llm_recommender import LLMRecommender
from training.neighbours import Neighbours
from training.newness import RARELY_MET
from training.sequence_head import SequenceHead

Scores = NDArray[np.float32]

ALIKE = 10
"""k: known items that a new one follows."""
_BLOCK = 256
_CELLS = 1 << 24
"""Scores of new items by known ones that are in memory at once."""


@dataclass(frozen=True)
class Likeness:
    """The known items that each new one reads like, and how much of it follows which.

    The shares add up to 1, though a mean of ten scores that disagree is flatter than each of them: with squares that
    add up to 1 the new items would lead the lists of everybody. Where a tenth of Online Retail and a sixth of
    MovieLens-small had not been met in training, that took a fifth of NDCG@10 over all events (.085 to .071, .065 to
    .051), and means a twenty-fifth at most (measured once, by no command that is kept). Lifting new items is for
    ``TEXT_NEW``, by as much as validation allows.
    """

    items: NDArray[np.int32]  # (N, k)
    shares: Scores  # (N, k)


@dataclass(frozen=True)
class GrownNeighbours(Neighbours):
    """Neighbours of a catalogue that has grown: ``items`` and ``weights`` are those of the training, as they were.

    Rows of new items are mixed from those of the items they read like. They stand apart, since those of a large
    catalogue are gigabytes that are not copied for one more.
    """

    new: Neighbours  # N rows
    likeness: Likeness

    def __len__(self) -> int:
        """Items that have a row, new ones too."""
        return len(self.items) + len(self.new)

    def of(self, items: NDArray[np.integer]) -> tuple[NDArray[np.int32], Scores]:
        """(…, K) the neighbours of some items (…) and their weights."""
        is_new = items >= len(self.items)
        if not is_new.any():
            return super().of(items)
        near, weights = super().of(np.where(is_new, 0, items))
        near[is_new], weights[is_new] = self.new.of(items[is_new] - len(self.items))
        return near, weights

    def save(self, folder: Path, name: str) -> None:
        """As if it had never grown."""
        Neighbours(*self.of(np.arange(len(self)))).save(folder, name)

    def score(self, batch: HistoryBatch, weights: Scores) -> Scores:
        """(B, V + N): a new item's score is that of the items it reads like, by their shares."""
        scores = super().score(batch, weights)
        scores[:, len(self.items) :] += self.followers(scores)
        return scores

    def followers(self, scores: Scores) -> Scores:
        """(…, N) what the new items get from the scores (…, V + N) of those that they read like."""
        given = np.zeros((*scores.shape[:-1], len(self.likeness.items)), dtype=np.float32)
        for followed, share in zip(self.likeness.items.T, self.likeness.shares.T, strict=True):
            given += scores[..., followed] * share
        return given


def extended(recommender: LLMRecommender, item_ids: Sequence[str], vectors: Scores) -> LLMRecommender:
    """The same model over V + N items; ``vectors`` (N, E) are whitened as its own are. It can be extended again."""
    if vectors.shape != (len(item_ids), recommender.item_vectors.shape[1]):
        raise ValueError(f"{len(item_ids)} new items have vectors of shape {vectors.shape}: check their whitening")
    if not len(item_ids):
        return recommender
    trained = slice(n_trained(recommender))
    met = recommender.popularity[trained, -1]
    likeness = likeness_of(recommender.item_vectors[trained], met, vectors)
    popularity = np.zeros((len(item_ids), recommender.popularity.shape[1]), dtype=np.float32)
    return replace(
        recommender,
        item_ids=[*recommender.item_ids, *item_ids],
        item_vectors=np.concatenate([recommender.item_vectors, vectors]),
        popularity=np.concatenate([recommender.popularity, popularity]),
        item_item=_grown(recommender.item_item, likeness),
        transitions=_grown(recommender.transitions, likeness),
        sequence=_grown_sequence(recommender.sequence, met, vectors),
    )


def n_trained(recommender: LLMRecommender) -> int:
    """Items of the training, which stand before all that came since."""
    return len(recommender.item_item.items)


def first_items(recommender: LLMRecommender, n_items: int) -> LLMRecommender:
    """An extended model as it was when it had ``n_items``, of which those of its training are the first."""
    if n_items == recommender.n_items:
        return recommender
    sequence = recommender.sequence
    if isinstance(sequence, SequenceHead):
        sequence = replace(sequence, item_table=sequence.item_table[:n_items], item_bias=sequence.item_bias[:n_items])
    return replace(
        recommender,
        item_ids=recommender.item_ids[:n_items],
        item_vectors=recommender.item_vectors[:n_items],
        popularity=recommender.popularity[:n_items],
        item_item=_first_rows(recommender.item_item, n_items),
        transitions=_first_rows(recommender.transitions, n_items),
        sequence=sequence,
    )


def likeness_of(known: Scores, met: Scores, new: Scores) -> Likeness:
    """The ``ALIKE`` items nearest in text among those that somebody has met, by their cosine."""
    is_candidate = met > 0 if (met > 0).any() else np.ones(len(known), dtype=np.bool_)
    k = min(ALIKE, int(is_candidate.sum()))
    items, shares = np.empty((len(new), k), dtype=np.int32), np.empty((len(new), k), dtype=np.float32)
    for block in _blocks(len(new), len(known)):
        cosine = new[block] @ known.T
        cosine[:, ~is_candidate] = -np.inf
        nearest = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        likely = np.maximum(np.take_along_axis(cosine, nearest, axis=1), 0)
        total = likely.sum(axis=1, keepdims=True)
        items[block] = nearest
        shares[block] = likely / np.where(total > 0, total, 1)
    return Likeness(items, shares)


def _blocks(n_new: int, n_known: int) -> Iterator[slice]:
    size = max(min(_BLOCK, _CELLS // n_known), 1)
    return (slice(start, start + size) for start in range(0, n_new, size))


def _grown(neighbours: Neighbours, likeness: Likeness) -> GrownNeighbours:
    """New rows hold the strongest of what the items they follow hold together."""
    n_known, width = neighbours.items.shape
    items = np.empty((len(likeness.items), width), dtype=np.int32)
    weights = np.empty(items.shape, dtype=np.float32)
    for block in _blocks(len(items), n_known):
        followed, shares = likeness.items[block], likeness.shares[block]
        n_rows = len(followed)
        near, near_weights = neighbours.of(followed)  # (n, k, K)
        cells = near + (np.arange(n_rows) * n_known)[:, None, None]
        mixed = np.bincount(
            cells.ravel(), (near_weights * shares[..., None]).ravel(), minlength=n_rows * n_known
        ).reshape(n_rows, n_known)
        strongest = np.argpartition(-np.abs(mixed), width - 1, axis=1)[:, :width]
        items[block] = strongest
        weights[block] = np.take_along_axis(mixed, strongest, axis=1)
    new = Neighbours(items, weights)
    if isinstance(neighbours, GrownNeighbours):
        before = neighbours.likeness
        new = Neighbours(
            np.concatenate([neighbours.new.items, items]), np.concatenate([neighbours.new.weights, weights])
        )
        likeness = Likeness(
            np.concatenate([before.items, likeness.items]), np.concatenate([before.shares, likeness.shares])
        )
    return GrownNeighbours(neighbours.items, neighbours.weights, new, likeness)


def _first_rows(neighbours: Neighbours, n_items: int) -> Neighbours:
    if not isinstance(neighbours, GrownNeighbours):
        return neighbours
    n_new = n_items - len(neighbours.items)
    if not n_new:
        return Neighbours(neighbours.items, neighbours.weights)
    new = Neighbours(neighbours.new.items[:n_new], neighbours.new.weights[:n_new])
    likeness = Likeness(neighbours.likeness.items[:n_new], neighbours.likeness.shares[:n_new])
    return GrownNeighbours(neighbours.items, neighbours.weights, new, likeness)


def _grown_sequence(sequence: object, met: Scores, vectors: Scores) -> SequenceHead | None:
    if sequence is None:
        return None
    if not isinstance(sequence, SequenceHead):
        raise TypeError("the sequence head is still in torch: extend what refit(…, export=True) returns")
    rows = vectors @ sequence.adaptor[:-1] + sequence.adaptor[-1]
    # What is rarely met is mostly the wrong answer in training, so its bias falls: at 0 a new item would lead them all.
    rarely = sequence.item_bias[: len(met)][met <= max(RARELY_MET, float(met.min(initial=0)))]
    bias = np.full(len(vectors), rarely.mean() if len(rarely) else 0, dtype=np.float32)
    return replace(
        sequence,
        item_table=np.concatenate([sequence.item_table, rows.astype(np.float32)]),
        item_bias=np.concatenate([sequence.item_bias, bias]),
    )
