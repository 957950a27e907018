"""Figures of many models side by side, with intervals and paired differences over users: rows, table, per-user values.

A run may have several seeds, whose figures are averaged list by list, and several splits, whose lists are put together;
both before anything is drawn anew, so that an interval speaks of users alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training import metrics
from training.comparison import RESAMPLES, WHOLE, holm, p_value
from training.evaluate import Evaluation, Floats, K

CUTS = (5, 10, 20)


@dataclass(frozen=True)
class ListFigures:
    """Figures at one length of lists, for some of the targets."""

    user: NDArray[np.int32]  # (L,) who asked
    figures: dict[str, dict[str, Floats]]  # by model and metric, (L,) each

    @classmethod
    def of(cls, evaluation: Evaluation, inside: NDArray[np.bool_] | None = None, k: int = K) -> "ListFigures":
        """All models of an evaluation; with ``inside`` (M,) on those targets alone."""
        figures = {name: evaluation.figures(name, k, inside) for name in evaluation.ranks}
        return cls(evaluation.users(inside), figures)

    @classmethod
    def averaged(cls, seeds: "Sequence[ListFigures]") -> "ListFigures":
        """The same lists by models of several seeds."""
        return cls(seeds[0].user, _merged([each.figures for each in seeds], lambda parts: np.mean(parts, axis=0)))

    @classmethod
    def joined(cls, splits: "Sequence[ListFigures]") -> "ListFigures":
        """The lists of several splits, one after the other; users keep their numbers."""
        user = np.concatenate([each.user for each in splits])
        return cls(user, _merged([each.figures for each in splits], np.concatenate))

    def values(self, metric: str) -> Floats:
        """(L, models)."""
        return np.stack([figures[metric] for figures in self.figures.values()], axis=1)


@dataclass(frozen=True)
class Row:
    """One line of the results table."""

    model: str
    part: str
    n_events: int
    """Lists, of which there is one an event unless the protocol asks once for all."""
    n_users: int
    ndcg_at_10: float
    low: float
    high: float
    recall_at_10: float
    mrr_at_10: float
    difference: float
    """The recommender's NDCG@10 minus this model's, on the same lists."""
    difference_low: float
    difference_high: float
    coverage_at_10: float | None = None
    p_value: float | None = None
    """That the two differ by nothing, by the paired bootstrap, two-sided, after Holm; None for parts of the model."""


def results_table(
    evaluation: Evaluation, reference: str, slices: Mapping[str, NDArray[np.bool_]], seed: int
) -> list[Row]:
    """Every model on the whole and on every slice, with 95 % intervals over users."""
    parts = {WHOLE: ListFigures.of(evaluation)}
    parts |= {name: ListFigures.of(evaluation, inside) for name, inside in slices.items() if inside.any()}
    return rows_of(parts, reference, seed, {name: evaluation.coverage(name) for name in evaluation.ranks})


def rows_of(
    parts: Mapping[str, ListFigures],
    reference: str,
    seed: int,
    coverage: Mapping[str, float | None] | None = None,
    compared: Sequence[str] = (),
) -> list[Row]:
    """Rows by part and model; ``compared`` are the models that the reference is tested against on the whole."""
    rows = []
    for part, found in parts.items():
        on_whole = (coverage or {}, compared) if part == WHOLE else ({}, ())
        rows += _rows_of_part(part, found, reference, seed, *on_whole)
    return rows


def _rows_of_part(
    part: str,
    found: ListFigures,
    reference: str,
    seed: int,
    coverage: Mapping[str, float | None],
    compared: Sequence[str],
) -> list[Row]:
    names, values = list(found.figures), found.values("ndcg")
    samples = metrics.bootstrap_means(values, found.user, RESAMPLES, seed)
    against = names.index(reference)
    differences = samples[:, [against]] - samples
    adjusted = holm({name: p_value(differences[:, names.index(name)]) for name in compared})
    rows = []
    for column, name in enumerate(names):
        low, high = metrics.interval(samples[:, column])
        difference_low, difference_high = metrics.interval(differences[:, column])
        rows.append(
            Row(
                model=name,
                part=part,
                n_events=len(found.user),
                n_users=len(np.unique(found.user)),
                ndcg_at_10=float(values[:, column].mean()),
                low=low,
                high=high,
                recall_at_10=float(found.figures[name]["recall"].mean()),
                mrr_at_10=float(found.figures[name]["mrr"].mean()),
                difference=float(values[:, against].mean() - values[:, column].mean()),
                difference_low=difference_low,
                difference_high=difference_high,
                coverage_at_10=coverage.get(name),
                p_value=adjusted.get(name),
            )
        )
    return rows


def per_user(evaluation: Evaluation, slices: Mapping[str, NDArray[np.bool_]], user_ids: list[str]) -> pa.Table:
    """One row per (model, slice, user): what the promotion gate and later comparisons read."""
    parts = {WHOLE: ListFigures.of(evaluation)}
    parts |= {name: ListFigures.of(evaluation, inside) for name, inside in slices.items() if inside.any()}
    return per_user_of(parts, user_ids)


def per_user_of(parts: Mapping[str, ListFigures], user_ids: list[str]) -> pa.Table:
    """The same from figures."""
    tables = []
    for part, found in parts.items():
        users, index = np.unique(found.user, return_inverse=True)
        counts = np.bincount(index, minlength=len(users))
        for name, figures in found.figures.items():
            means = np.bincount(index, figures["ndcg"], minlength=len(users)) / counts
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


def markdown_table(rows: Sequence[Row], part: str = WHOLE) -> str:
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


def _merged(
    parts: Sequence[dict[str, dict[str, Floats]]], merge: Callable[[list[Floats]], Floats]
) -> dict[str, dict[str, Floats]]:
    return {
        name: {metric: merge([each[name][metric] for each in parts]) for metric in figures}
        for name, figures in parts[0].items()
    }
