"""Successive evaluation: weights frozen at a cut, each later event predicted from all that was known just before it.

Every model ranks the whole catalogue known at the cut, without what the user has met, from the same histories and the
same daily popularity; chunks keep memory bounded. Intervals come from a bootstrap over users, paired
between models.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from training import metrics
from training.comparison import RESAMPLES, WHOLE
from training.dataset import Snapshot, Targets
from training.history import HistoryBatch

Scores = NDArray[np.float32]
K = 10
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
    for start in range(0, len(targets), size):
        rows = slice(start, start + size)
        some = Targets(targets.rows[rows], targets.user[rows], targets.item[rows], targets.now[rows])
        tables, table_of = snapshot.popularity.steps(some.now, snapshot.n_items)
        seen = [snapshot.seen(int(row), int(now)) for row, now in zip(some.rows, some.now, strict=True)]
        yield Moments(rows, snapshot.histories(some), tables, table_of, seen, some.item)


@dataclass(frozen=True)
class Evaluation:
    """Where each model put each target."""

    targets: Targets
    ranks: dict[str, NDArray[np.int64]]
    coverage: dict[str, float]

    def ndcg(self, model: str) -> NDArray[np.float64]:
        """(M,) NDCG@10 per event."""
        return metrics.ndcg(self.ranks[model], K)


def evaluate(
    models: ManyScorers,
    snapshot: Snapshot,
    targets: Targets,
    seed: int,
    *,
    coverage_events: int = 0,
    title: str = "evaluating",
) -> Evaluation:
    """Rank every target by every model. Ties are broken by chance drawn once per event, the same for all models.

    Coverage is measured on the lists of the first ``coverage_events``.
    """
    luck = np.random.default_rng(seed).random(len(targets))
    ranks: dict[str, list[NDArray[np.int64]]] = {}
    shown: dict[str, list[NDArray[np.int64]]] = {}
    with tqdm(total=len(targets), desc=title, unit="event", disable=None, leave=False) as bar:
        for chunk in moments(snapshot, targets):
            for name, scores in models.score_many(chunk.batch, chunk.tables, chunk.table_of):
                for row, items in enumerate(chunk.seen):
                    scores[row, items] = -np.inf
                ranks.setdefault(name, []).append(metrics.ranks(scores, chunk.targets, luck[chunk.rows]))
                if chunk.rows.start < coverage_events:
                    shown.setdefault(name, []).append(metrics.top_items(scores, K))
            bar.update(len(chunk.targets))
    return Evaluation(
        targets,
        {name: np.concatenate(parts) for name, parts in ranks.items()},
        {name: metrics.coverage(np.concatenate(parts), snapshot.n_items) for name, parts in shown.items()},
    )


def quality(model: Scorer, snapshot: Snapshot, targets: Targets, seed: int) -> float:
    """Mean NDCG@10: what every choice on validation is made by."""
    if len(targets) == 0:
        return 0.0
    return float(evaluate(Each({"it": model}), snapshot, targets, seed, title="tuning").ndcg("it").mean())


@dataclass(frozen=True)
class Row:
    """One line of the results table."""

    model: str
    part: str
    n_events: int
    n_users: int
    ndcg_at_10: float
    low: float
    high: float
    recall_at_10: float
    mrr_at_10: float
    difference: float
    """The recommender's NDCG@10 minus this model's, on the same events."""
    difference_low: float
    difference_high: float
    coverage_at_10: float | None = None


def results_table(
    evaluation: Evaluation, reference: str, slices: Mapping[str, NDArray[np.bool_]], seed: int
) -> list[Row]:
    """Every model on the whole and on every slice, with 95 % intervals over users."""
    rows = []
    whole = np.ones(len(evaluation.targets), dtype=bool)
    for part, inside in {WHOLE: whole, **slices}.items():
        if inside.any():
            rows += _rows_of_part(evaluation, reference, part, inside, seed)
    return rows


def _rows_of_part(evaluation: Evaluation, reference: str, part: str, inside: NDArray[np.bool_], seed: int) -> list[Row]:
    names = list(evaluation.ranks)
    user = evaluation.targets.user[inside]
    values = np.stack([evaluation.ndcg(name)[inside] for name in names], axis=1)  # (M, models)
    samples = metrics.bootstrap_means(values, user, RESAMPLES, seed)
    against = names.index(reference)
    rows = []
    for column, name in enumerate(names):
        rank = evaluation.ranks[name][inside]
        low, high = metrics.interval(samples[:, column])
        difference_low, difference_high = metrics.interval(samples[:, against] - samples[:, column])
        rows.append(
            Row(
                model=name,
                part=part,
                n_events=len(user),
                n_users=len(np.unique(user)),
                ndcg_at_10=float(values[:, column].mean()),
                low=low,
                high=high,
                recall_at_10=float(metrics.recall(rank, K).mean()),
                mrr_at_10=float(metrics.mrr(rank, K).mean()),
                difference=float(values[:, against].mean() - values[:, column].mean()),
                difference_low=difference_low,
                difference_high=difference_high,
                coverage_at_10=evaluation.coverage.get(name) if part == WHOLE else None,
            )
        )
    return rows


def per_user(evaluation: Evaluation, slices: Mapping[str, NDArray[np.bool_]], user_ids: list[str]) -> pa.Table:
    """One row per (model, slice, user): what the promotion gate and later comparisons read."""
    whole = np.ones(len(evaluation.targets), dtype=bool)
    tables = []
    for part, inside in {WHOLE: whole, **slices}.items():
        users, index = np.unique(evaluation.targets.user[inside], return_inverse=True)
        if len(users) == 0:
            continue
        counts = np.bincount(index, minlength=len(users))
        for name in evaluation.ranks:
            means = np.bincount(index, evaluation.ndcg(name)[inside], minlength=len(users)) / counts
            tables.append(
                pa.table(
                    {
                        "model": [name] * len(users),
                        "slice": [part] * len(users),
                        "user_id": [user_ids[user] for user in users],
                        "n_events": counts.astype(np.int64),
                        "ndcg_at_10": means,
                    }
                )
            )
    return pa.concat_tables(tables)


def markdown_table(rows: list[Row], part: str = WHOLE) -> str:
    """The results on one slice, as people read them."""
    lines = [
        "| model | NDCG@10 [95 %] | recall@10 | MRR@10 | coverage@10 | recommender − model [95 %] |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.part == part:
            coverage = "" if row.coverage_at_10 is None else f"{row.coverage_at_10:.3f}"
            lines.append(
                f"| {row.model} | {row.ndcg_at_10:.4f} [{row.low:.4f}, {row.high:.4f}] | {row.recall_at_10:.4f} "
                f"| {row.mrr_at_10:.4f} | {coverage} "
                f"| {row.difference:+.4f} [{row.difference_low:+.4f}, {row.difference_high:+.4f}] |"
            )
    return "\n".join(lines)
