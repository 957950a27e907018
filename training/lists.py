"""Lists as of past moments: what an observer at each moment would have been recommended.

History, popularity and catalogue are those of just before the moment, only the weights of the model are as trained. The
scores are those of ``LLMRecommender.score_batch``, which evaluation and serving use too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from freshet.contract import MAX_RECENT_EVENTS
from training.catalogue import Catalogue, catalogue_of
from training.dataset import Marts
from training.history import History, HistoryBatch
from training.llm_recommender import LLMRecommender
from training.new_items import first_items
from training.questions import NOW, Questions
from training.snapshot import DAY_US, FOREVER, Events, Popularity

Scores = NDArray[np.float32]
_CHUNK_CELLS = 2_500_000
"""Scores held at once: 250 questions at 10k items."""
_WRITTEN_AT_ONCE = 2_000
"""Lists per row group of the file."""


@dataclass(frozen=True)
class World:
    """The marts over the rows of one catalogue."""

    catalogue: Catalogue
    events: Events
    popularity: Popularity
    user_of: dict[str, int]
    ends: int
    """The end of the last day of which anything is known."""

    @classmethod
    def of(cls, marts: Marts, known_ids: list[str]) -> "World":
        """Everything there is, also what came after the training."""
        catalogue = catalogue_of(marts, known_ids)
        return cls(
            catalogue,
            marts.events(catalogue.row_of, FOREVER),
            marts.popularity(catalogue.row_of),
            {user_id: user for user, user_id in enumerate(marts.user_ids)},
            (marts.last_moment // DAY_US + 1) * DAY_US,
        )

    def known_before(self, user_id: str, moment: int) -> Events:
        """Every interaction of a user that had happened and had been received before a moment, oldest first."""
        user = self.user_of.get(user_id)
        if user is None:
            return self.events.where(np.empty(0, dtype=np.int64))
        start, end = np.searchsorted(self.events.user, [user, user + 1])
        happened = np.arange(start, start + np.searchsorted(self.events.occurred_at[start:end], moment))
        return self.events.where(happened[self.events.received_at[happened] < moment])


@dataclass(frozen=True)
class Lists:
    """Q lists, best items first; a list may be shorter than the arrays are wide."""

    rows: NDArray[np.int32]  # (Q, n) rows of the catalogue
    scores: Scores  # (Q, n)
    lengths: NDArray[np.int64]  # (Q,)
    is_stranger: NDArray[np.bool_]  # (Q,) nothing was known of the user

    @classmethod
    def empty(cls, n_questions: int, n: int) -> "Lists":
        """Lists to be filled."""
        shape = (n_questions, n)
        return cls(
            np.zeros(shape, dtype=np.int32),
            np.zeros(shape, dtype=np.float32),
            np.zeros(n_questions, dtype=np.int64),
            np.zeros(n_questions, dtype=bool),
        )

    def put(self, asked: NDArray[np.int64], scores: Scores, lot: NDArray[np.int64]) -> None:
        """Fill the lists of some questions from their scores (b, R)."""
        for question, (best, values) in zip(asked, best_items(scores, lot, self.rows.shape[1]), strict=True):
            self.lengths[question] = len(best)
            self.rows[question, : len(best)] = best
            self.scores[question, : len(best)] = values


def answer(recommender: LLMRecommender, world: World, questions: Questions, n: int, *, repeats: bool = False) -> Lists:
    """The n best items of each question; ``recommender`` has the rows of the world's catalogue."""
    lists = Lists.empty(len(questions), min(n, recommender.n_items))
    with tqdm(total=len(questions), desc="recommending", unit="list", disable=None) as bar:
        for asked in _chunks(questions, recommender.n_items):
            events = [world.known_before(questions.user_ids[row], int(questions.as_of[row])) for row in asked]
            lists.is_stranger[asked] = [len(known) == 0 for known in events]
            for some, scores in _scored(recommender, world, questions.as_of[asked], events):
                if not repeats:
                    for row, known in zip(scores, events[some], strict=True):
                        row[world.catalogue.rows_of(known.item, len(row))] = -np.inf
                lists.put(asked[some], scores, world.catalogue.lot)
            bar.update(len(asked))
    return lists


def _chunks(questions: Questions, n_items: int) -> Iterator[NDArray[np.int64]]:
    """Rows of questions by their moments; those of no moment apart, as theirs is another clock."""
    order = np.argsort(questions.as_of, kind="stable")
    n_dated = int((questions.as_of != NOW).sum())
    size = max(1, min(256, _CHUNK_CELLS // max(n_items, 1)))
    for part in (order[:n_dated], order[n_dated:]):
        yield from (part[start : start + size] for start in range(0, len(part), size))


def _scored(
    recommender: LLMRecommender, world: World, as_of: NDArray[np.int64], events: list[Events]
) -> Iterator[tuple[slice, Scores]]:
    """Scores (b, rows) of the questions that see as many rows of the catalogue; −inf for what cannot be had."""
    catalogue = world.catalogue
    now = np.where(as_of == NOW, world.ends, as_of)
    tables, table_of = world.popularity.steps(now, recommender.n_items)  # of whole days, so those before the moment
    until = as_of - 1
    can_be_shown, n_rows = catalogue.can_be_shown(until), catalogue.n_rows(until)
    borders = [0, *(np.flatnonzero(np.diff(n_rows)) + 1), len(as_of)]
    for start, end in pairwise(borders):
        some, n_items = slice(start, end), int(n_rows[start])
        batch = HistoryBatch.of([_history(known, n_items) for known in events[some]], now[some])
        first, last = table_of[start], table_of[end - 1]
        own_tables = tables[first : last + 1, catalogue.first_row[:n_items]]
        scores = first_items(recommender, n_items).score_batch(batch, own_tables, table_of[some] - first)
        scores[~can_be_shown[some, :n_items]] = -np.inf
        yield some, scores


def _history(known: Events, n_items: int) -> History:
    """The newest interactions, the positive of them: what evaluation reads, and what serving's packed state holds."""
    newest = slice(max(0, len(known) - MAX_RECENT_EVENTS), None)
    liked = ~known.is_negative[newest] & (known.item[newest] < n_items)
    return History(known.item[newest][liked], known.occurred_at[newest][liked])


def best_items(
    scores: Scores, lot: NDArray[np.int64], n: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """For each row of (B, R) the n largest finite scores' places and scores, best first; equal ones by lot."""
    place = max(scores.shape[1] - n, 0)
    for row, least in zip(scores, np.partition(scores, place, axis=1)[:, place], strict=True):
        candidates = np.flatnonzero((row >= least) & np.isfinite(row))
        best = candidates[np.lexsort((lot[candidates], -row[candidates]))][:n]
        yield best, row[best]


def descending(scores: Scores) -> NDArray[np.float64]:
    """(Q, n) scores that never rise, made to fall at every place, by the least that a float64 can."""
    exact = scores.astype(np.float64)
    for place in range(1, exact.shape[1]):
        exact[:, place] = np.minimum(exact[:, place], np.nextafter(exact[:, place - 1], -np.inf))
    return exact


def write_lists(out: Path, questions: Questions, catalogue: Catalogue, lists: Lists) -> int:
    """Write to a partial file, then put it in place; returns the number of rows."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    item_ids = np.array(catalogue.item_ids, dtype=object)
    schema = pa.schema(
        [
            ("query_id", questions.query_ids.type),
            ("item_id", pa.string()),
            ("rank", pa.int32()),
            ("score", pa.float64()),
        ]
    )
    with pq.ParquetWriter(partial, schema) as writer:
        for start in range(0, len(questions), _WRITTEN_AT_ONCE):
            some = slice(start, start + _WRITTEN_AT_ONCE)
            question, place = np.nonzero(np.arange(lists.rows.shape[1]) < lists.lengths[some, None])
            columns = [
                questions.query_ids.take(pa.array(question + start)),
                pa.array(item_ids[lists.rows[some][question, place]], pa.string()),
                pa.array(place + 1, pa.int32()),
                pa.array(descending(lists.scores[some])[question, place]),
            ]
            writer.write_table(pa.table(columns, schema=schema))
    partial.replace(out)
    return int(lists.lengths.sum())
