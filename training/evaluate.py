"""Evaluation: weights frozen at a cut, each list asked for at a moment and made from all that was known just before it.

Every model ranks the whole catalogue known at the cut, without what the user has met (unless repeats count), from the
same histories and the same daily popularity; chunks keep memory bounded. Intervals come from a bootstrap over users,
paired between models.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training import list_metrics, metrics
from training.history import HistoryBatch
from training.snapshot import PopularityWalk, Snapshot, Targets

Scores = NDArray[np.float32]
Floats = NDArray[np.float64]
K = 10
LONGEST_LIST = 20
_CHUNK_CELLS = 2_500_000
"""Scores held at once per model: 256 events at 10k items."""
COVERAGE_EVENTS = 2_000


class Scorer(Protocol):
    """Anything that ranks."""

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """(B, V) the higher the better; ``tables`` (S, V, 4) are popularities, ``table_of`` (B,) the one that holds."""
        ...


class ManyScorers(Protocol):
    """Several models that share work, such as one with parts switched off."""

    def score_many(
        self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]
    ) -> Iterator[tuple[str, Scores]]:
        """(B, V) scores by model."""
        ...


@dataclass(frozen=True)
class Each:
    """Models by name, each by itself."""

    models: Mapping[str, Scorer]

    def score_many(
        self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]
    ) -> Iterator[tuple[str, Scores]]:
        """One after the other."""
        for name, model in self.models.items():
            yield name, model.score_batch(batch, tables, table_of)


@dataclass(frozen=True)
class Moments:
    """A chunk of events to predict, with what was known."""

    rows: slice
    batch: HistoryBatch
    tables: Scores  # (S, V, 4)
    table_of: NDArray[np.int64]  # (B,)
    seen: list[NDArray[np.int32]]
    targets: NDArray[np.int32]


def moments(snapshot: Snapshot, targets: Targets, width: int = 1) -> Iterator[Moments]:
    """The events chunk by chunk; ``width`` is how many (B, V) arrays the caller holds at once."""
    size = max(1, min(256, _CHUNK_CELLS // max(snapshot.n_items, 1) // width))
    popularity = PopularityWalk.start(snapshot.popularity, snapshot.n_items)
    for start in range(0, len(targets), size):
        rows = slice(start, start + size)
        some = targets.where(rows)
        tables, table_of = popularity.steps(some.now)
        seen = [snapshot.seen(int(row), int(now)) for row, now in zip(some.rows, some.now, strict=True)]
        yield Moments(rows, snapshot.histories(some), tables, table_of, seen, some.item)


@dataclass(frozen=True)
class Evaluation:
    """Where each model put each target."""

    targets: Targets  # M of them in L lists
    ranks: dict[str, NDArray[np.int64]]  # (M,)
    shown: dict[str, NDArray[np.int32]]  # (L', 20) the first lists themselves, best first
    n_items: int

    def figures(self, model: str, k: int = K, inside: NDArray[np.bool_] | None = None) -> dict[str, Floats]:
        """Figures per list by metric; with ``inside`` (M,) only those targets count, and lists without any fall out."""
        targets, rank = self.targets, self.ranks[model]
        if inside is not None:
            targets, rank = targets.where(inside), rank[inside]
        return metrics.list_figures(rank, targets.list_of, k)

    def ndcg(self, model: str, inside: NDArray[np.bool_] | None = None) -> Floats:
        """(L,) NDCG@10 per list."""
        return self.figures(model, K, inside)["ndcg"]

    def users(self, inside: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
        """(L,) who asked for each list."""
        return (self.targets if inside is None else self.targets.where(inside)).lists.user

    def coverage(self, model: str) -> float | None:
        """Share of the catalogue in the first ten places of the lists that were kept; None where none were."""
        lists = self.shown.get(model)
        return None if lists is None else list_metrics.coverage(lists[:, :K], self.n_items)


def evaluate(
    models: ManyScorers,
    snapshot: Snapshot,
    targets: Targets,
    seed: int,
    *,
    coverage_events: int = 0,
    title: str = "evaluating",
) -> Evaluation:
    """Rank every target by every model. Ties are broken by chance drawn once per list, the same for all models.

    The first ``coverage_events`` lists are kept.
    """
    lists, starts = targets.lists, np.r_[targets.list_starts, len(targets)]
    luck = np.random.default_rng(seed).random(len(lists))
    ranks: dict[str, list[NDArray[np.int64]]] = {}
    shown: dict[str, list[NDArray[np.int32]]] = {}
    with tqdm(total=len(lists), desc=title, unit="list", disable=None, leave=False) as bar:
        for chunk in moments(snapshot, lists):
            inside = slice(starts[chunk.rows.start], starts[chunk.rows.start + len(chunk.batch)])
            row_of = targets.list_of[inside] - chunk.rows.start
            for name, scores in models.score_many(chunk.batch, chunk.tables, chunk.table_of):
                for row, items in enumerate(chunk.seen):
                    scores[row, items] = -np.inf
                found = _ranks(scores, row_of, targets.item[inside], luck[chunk.rows])
                ranks.setdefault(name, []).append(found)
                if chunk.rows.start < coverage_events:
                    shown.setdefault(name, []).append(metrics.top_items(scores, LONGEST_LIST).astype(np.int32))
            bar.update(len(chunk.batch))
    return Evaluation(
        targets,
        {name: np.concatenate(parts) for name, parts in ranks.items()},
        {name: np.concatenate(parts) for name, parts in shown.items()},
        snapshot.n_items,
    )


def _ranks(scores: Scores, row_of: NDArray[np.int64], items: NDArray[np.int32], luck: Floats) -> NDArray[np.int64]:
    """Places of several targets per list, as many rows at once as there are lists."""
    if len(row_of) == len(scores):
        return metrics.ranks(scores, items, luck)
    parts = []
    for start in range(0, len(row_of), len(scores)):
        rows = row_of[start : start + len(scores)]
        parts.append(metrics.ranks(scores[rows], items[start : start + len(scores)], luck[rows]))
    return np.concatenate(parts)


def quality(model: Scorer, snapshot: Snapshot, targets: Targets, seed: int) -> float:
    """Mean NDCG@10: what every choice on validation is made by."""
    if len(targets) == 0:
        return 0.0
    return float(evaluate(Each({"it": model}), snapshot, targets, seed, title="tuning").ndcg("it").mean())
