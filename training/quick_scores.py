"""The scores of ``LLMRecommender.parts`` at the few items that can lead a list, for one history at a time.

A score is a sum over heads, each brought to z-scores over the whole catalogue. Mean and spread of a linear head follow
from those of its vectors, those of a sparse head from the cells it fills, those of a trend are the same for every user.
So every head names its favourites among what may be shown, and all heads are scored exactly at the favourites of any of
them. What is left out leads in no head, or is too far behind in all others for likeness in words to make up for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from training.blend import compressed, normalise, regime_of
from training.history import HistoryBatch
from training.item_index import Answer, Floats, Items, LinearHead, Mask, Whole, about_largest, largest
from training.llm_recommender import HEADS, TEXT, LLMRecommender, Scores, text_profiles
from training.neighbours import Neighbours
from training.new_items import GrownNeighbours
from training.newness import RARELY_MET, TEXT_NEW
from training.own_history import grown
from training.sequence_head import SequenceHead
from training.trend import TRENDS, trend_score

SMALLEST_CATALOGUE = 5_000
"""Items below which scoring all of them takes no longer."""
FAVOURITES = 200
"""Items that each head names, or four times as many as are asked for."""
_LARGEST_SHARE = 0.2
"""Of the catalogue that a head may name: beyond, scoring everything takes no longer."""
WRITTEN_OUT = 40_000
"""Items up to which writing out all the scores of a sparse head takes less time than keeping to its cells."""
_LEADERS = 4_000
"""Items that trends can name before whatever must not be shown is left out."""
_FEW: Final = 4
"""Times as many items as are to be named, up to which all are: an index would have to be read whole for so few."""
_Weights = Mapping[str, np.float32]
_Answers = Mapping[str, Answer | None]
_IN_WORDS: Final = (TEXT, TEXT_NEW)
_NOTHING: Final = np.empty(0, dtype=np.intp)


@dataclass(frozen=True)
class Shortlist:
    """Some items, and what each head that counts at this moment adds to their scores."""

    items: Items  # (C,)
    heads: tuple[str, ...]
    added: Scores  # (H, C)

    @property
    def parts(self) -> dict[str, Scores]:
        """(C,) each."""
        return dict(zip(self.heads, self.added, strict=True))

    def scores(self) -> Scores:
        """(C,) the higher the better."""
        return np.asarray(self.added.sum(axis=0))


@dataclass(frozen=True)
class QuickScores:
    """A recommender, prepared for one question at a time."""

    recommender: LLMRecommender
    sequence: LinearHead | None
    text: LinearHead
    trends: dict[str, Scores]  # (V,) each trend's normalised scores
    leaders: tuple[Items, ...]  # by regime: the best of all trends together, best first
    hardly_known: Mask
    """(V,) the items that nobody, or hardly anybody, had met at training."""
    pages: "_Pages | None"
    """None where a sparse head is written out."""

    @classmethod
    def of(cls, recommender: LLMRecommender) -> Self | None:
        """A minute where there are a million items; None where a catalogue is too small to gain by it."""
        if recommender.n_items < SMALLEST_CATALOGUE:
            return None
        head = recommender.sequence
        return cls(
            recommender,
            LinearHead.of(head.item_table, head.item_bias) if isinstance(head, SequenceHead) else None,
            LinearHead.of(recommender.item_vectors),
            {},
            (),
            _hardly_known(recommender),
            _pages_of(recommender),
        ).with_popularity(recommender.popularity)

    def grown(self, recommender: LLMRecommender) -> Self:
        """The same for the recommender with more items (``training.new_items.extended``)."""
        head = recommender.sequence
        sequence = self.sequence
        if sequence is not None and isinstance(head, SequenceHead):
            sequence = sequence.grown(head.item_table, head.item_bias)
        text = self.text.grown(recommender.item_vectors)
        grown = replace(
            self,
            recommender=recommender,
            sequence=sequence,
            text=text,
            hardly_known=_hardly_known(recommender),
            pages=_pages_of(recommender),
        )
        return grown.with_popularity(recommender.popularity)

    def read_from(self, recommender: LLMRecommender) -> Self:
        """The same for an equal recommender, whose arrays take the place of those that were read so far."""
        head, sequence = recommender.sequence, self.sequence
        if sequence is not None and isinstance(head, SequenceHead):
            sequence = sequence.read_from(head.item_table, head.item_bias)
        text = self.text.read_from(recommender.item_vectors, None)
        return replace(self, recommender=recommender, sequence=sequence, text=text)

    def with_popularity(self, table: Scores) -> Self:
        """The same, with other counts (V, 4)."""
        weights = self.recommender.weights
        used = [trend for trend in TRENDS if weights[:, HEADS.index(trend)].any()]
        trends = {trend: normalise(trend_score(table, self.recommender.popularity, trend)) for trend in used}
        leaders = []
        for row in weights:
            mixed = np.zeros(len(table), dtype=np.float32)
            for trend, scores in trends.items():
                mixed += row[HEADS.index(trend)] * scores
            best = largest(mixed, _LEADERS) if mixed.any() else _NOTHING
            leaders.append(best[np.argsort(-mixed[best], kind="stable")])
        return replace(self, trends=trends, leaders=tuple(leaders))

    def parts_at(self, batch: HistoryBatch) -> dict[str, Scores]:
        """(V,) each, of all items, as the recommender's own; trends are there already."""
        recommender = self.recommender
        weights = recommender.weights[regime_of(batch)[0]]
        parts = {
            head: weight * (self.trends[head] if head in TRENDS else recommender.normalised(head, batch)[0])
            for head, weight in zip(HEADS, weights, strict=True)
            if weight
        }
        return parts or {HEADS[0]: np.zeros(recommender.n_items, dtype=np.float32)}

    def shortlist(self, batch: HistoryBatch, n: int, may_be_shown: Mask, n_met: int = 0) -> Shortlist | None:
        """The best items among those that may be shown (V,), n or more; None where all of them must be scored.

        ``batch`` is one moment of a user who has met ``n_met`` items. They have mostly met the favourites of several
        heads, and what comes behind those leads in no single one: so each head names as many more.
        """
        regime = int(regime_of(batch)[0])
        weights = {head: weight for head, weight in zip(HEADS, self.recommender.weights[regime], strict=True) if weight}
        n_named = max(FAVOURITES, 4 * n) + n_met
        if n_named > _LARGEST_SHARE * len(may_be_shown):
            return None
        with self.pages.borrowed() if self.pages else nullcontext() as page:
            spoken = {TEXT if head == TEXT_NEW else head: None for head in weights if head not in TRENDS}
            answers = {head: self._opened(head, batch, page) for head in spoken}
            is_named = np.zeros(len(may_be_shown), dtype=np.bool_)
            is_named[self._leaders(regime, n_named, may_be_shown)] = True
            is_named[self.text.n_indexed :] = True  # what came after the index was made
            for head, answer in answers.items():
                if answer is not None and weights.get(head, 0) > 0:
                    is_named[answer.favourites(n_named, may_be_shown)] = True
            if (text := answers.get(TEXT)) is not None and weights.get(TEXT_NEW, 0) > 0:
                is_named[self._new_favourites(text, n_named, may_be_shown & self.hardly_known)] = True
            items = np.flatnonzero(is_named & may_be_shown)
            return self._scored(items, n, weights, answers) if len(items) >= n and weights else None

    @staticmethod
    def _new_favourites(text: Answer, n: int, may_be_shown: Mask) -> Items:
        """About the n items that read best, of those hardly known that may be shown."""
        is_few = np.count_nonzero(may_be_shown) <= _FEW * n
        return np.flatnonzero(may_be_shown) if is_few else text.favourites(n, may_be_shown)

    def _leaders(self, regime: int, n: int, may_be_shown: Mask) -> Items:
        """The n first of all trends together that may be shown."""
        leaders = self.leaders[regime]
        some = leaders[: 2 * n]
        found = some[may_be_shown[some]]
        return (found if len(found) >= n else leaders[may_be_shown[leaders]])[:n]

    def _scored(self, items: Items, n: int, weights: _Weights, answers: _Answers) -> Shortlist:
        """The items that the best n are among, with their scores.

        Likeness in words comes last: it reads a long vector for each item, and there is an end to what it can add.
        """
        first, last = ([head for head in weights if (head in _IN_WORDS) == is_last] for is_last in (False, True))
        added = self._added(items, first, weights, answers)
        text = answers.get(TEXT)
        if text is None:
            silent = np.zeros((len(last), len(items)), dtype=np.float32)
            return Shortlist(items, (*first, *last), np.concatenate([added, silent]))
        shares = np.stack([np.full(len(items), weights[head], dtype=np.float32) for head in last])  # (H', C)
        if TEXT_NEW in last:
            shares[last.index(TEXT_NEW)] *= self.recommender.newness[items]
        mean, spread = (np.float32(moment) for moment in text.moments())
        ends = compressed(np.array([text.furthest(), -text.furthest()], dtype=np.float32) - mean, spread)
        reach = shares[..., None] * ends  # (H', C, 2)
        so_far = added.sum(axis=0)
        nth = np.partition(so_far + reach.min(axis=-1).sum(axis=0), len(items) - n)[len(items) - n]
        may_lead = so_far + reach.max(axis=-1).sum(axis=0) >= nth
        items, added, shares = items[may_lead], added[:, may_lead], shares[:, may_lead]
        words = compressed(text.at(items) - mean, spread)
        return Shortlist(items, (*first, *last), np.concatenate([added, shares * words]))

    def _added(self, items: Items, heads: Sequence[str], weights: _Weights, answers: _Answers) -> Scores:
        """(H, C) each head's weight times its score, normalised over the catalogue."""
        added = np.zeros((len(heads), len(items)), dtype=np.float32)
        rows, moments = [], []
        for row, head in enumerate(heads):
            if head in TRENDS:
                added[row] = self.trends[head][items]
            elif (answer := answers[head]) is not None:
                added[row] = answer.at(items)
                rows.append(row)
                moments.append(answer.moments())
        if rows:
            mean, spread = np.array(moments, dtype=np.float32).T[..., None]  # (H', 1) each
            added[rows] = compressed(added[rows] - mean, spread)
        added *= np.array([weights[head] for head in heads], dtype=np.float32)[:, None]
        return added

    def _opened(self, head: str, batch: HistoryBatch, page: "_Page | None") -> Answer | None:
        """What a head that reads histories says; None where it is silent."""
        recommender = self.recommender
        if not batch.lengths[0]:
            return None
        if head == "sequence":
            if self.sequence is None or not isinstance(recommender.sequence, SequenceHead):
                return None
            return self.sequence.asked(recommender.sequence.user_vectors(batch)[0])
        if head == TEXT:
            reading = recommender.reading(head, batch)
            return self.text.asked(text_profiles(recommender.item_vectors, batch, reading)[0])
        if page is None:
            return Whole(recommender.behaviour(head, batch)[0], least=0)
        reading = recommender.reading(head, batch)
        columns = np.flatnonzero(reading[0])
        met, counts = batch.items[0, columns], reading[0, columns]
        if head == "own_history":
            items, place = np.unique(met, return_inverse=True)
            return page.filled(items, grown(np.bincount(place, counts).astype(np.float32)))
        neighbours = recommender.item_item if head == "item_item" else recommender.transitions
        near, near_weights = neighbours.of(met)
        return page.filled(near.ravel(), (near_weights * counts[:, None]).ravel(), neighbours)


@dataclass(frozen=True)
class _Sparse:
    sums: Scores  # (V,) the head's scores, zero but at the cells
    cells: NDArray[np.int32]  # (n,) some of them twice
    mean: float
    spread: float

    def favourites(self, n: int, may_be_shown: Mask) -> Items:
        values = np.where(may_be_shown[self.cells], self.sums[self.cells], np.float32(0))
        best = about_largest(values, 2 * n)
        return self.cells[best[values[best] > 0]].astype(np.intp)

    def at(self, items: Items) -> Floats:
        return self.sums[items]

    def moments(self) -> tuple[float, float]:
        return self.mean, self.spread

    def furthest(self) -> float:
        return float(np.abs(self.sums[self.cells]).max(initial=0))


class _Page:
    """Arrays as long as the catalogue, wiped where they were written instead of being made for each answer."""

    def __init__(self, n_items: int) -> None:
        self._n_items = n_items
        self._clean: list[Scores] = []
        self._written: list[_Sparse] = []

    def filled(self, cells: NDArray[np.int32], products: Scores, neighbours: Neighbours | None = None) -> _Sparse:
        """A head that adds these products at these cells; new items follow those that they read like."""
        sums = self._clean.pop() if self._clean else np.zeros(self._n_items, dtype=np.float32)
        np.add.at(sums, cells, products)
        # A score is the sum of its products, so that this is the sum of squared scores, each of them once.
        total, square = float(products.sum(dtype=np.float64)), float(sums[cells] @ products)
        if isinstance(neighbours, GrownNeighbours):
            followers = neighbours.followers(sums)
            new = np.arange(self._n_items - len(followers), self._n_items, dtype=np.int32)
            sums[new] += followers
            cells = np.concatenate([cells, new])
            total, square = total + float(followers.sum()), square + float(followers @ followers)
        mean = total / self._n_items
        found = _Sparse(sums, cells, mean, max(square / self._n_items - mean * mean, 0.0) ** 0.5)
        self._written.append(found)
        return found

    def wipe(self) -> None:
        """Zeros again."""
        for head in self._written:
            head.sums[head.cells] = 0
            self._clean.append(head.sums)
        self._written.clear()


def _hardly_known(recommender: LLMRecommender) -> Mask:
    return np.asarray(recommender.popularity[:, -1] <= RARELY_MET, dtype=np.bool_)


def _pages_of(recommender: LLMRecommender) -> "_Pages | None":
    return _Pages(recommender.n_items) if recommender.n_items > WRITTEN_OUT else None


class _Pages:
    """As many pages as there are answers at once."""

    def __init__(self, n_items: int) -> None:
        self._n_items = n_items
        self._free: list[_Page] = []

    @contextmanager
    def borrowed(self) -> Iterator[_Page]:
        """A page of one's own; one that was interrupted is thrown away."""
        try:
            page = self._free.pop()
        except IndexError:
            page = _Page(self._n_items)
        yield page
        page.wipe()
        self._free.append(page)
