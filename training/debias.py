"""What it costs to pay less for popularity: accuracy beside coverage, by the strength of the debias.

``LLMRecommender.debiased`` changes nothing but one column of weights, so every strength is judged on the test events of
a run in one pass, without training again. ``freshet debias`` prints what was found; ``FRESHET_DEBIAS`` chooses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training import list_metrics, metrics
from training.blend import normalise
from training.evaluate import COVERAGE_EVENTS, K, evaluate
from training.history import HistoryBatch
from training.llm_recommender import POPULARITY, LLMRecommender
from training.snapshot import Snapshot, Targets
from training.trend import trend_score

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

Scores = NDArray[np.float32]
Interval = tuple[float, float]

STRENGTHS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
_RESAMPLES = 2_000


@dataclass(frozen=True)
class Step:
    """What the first ten places are like at one strength. Intervals are of 95 %, by a bootstrap over users."""

    strength: float
    ndcg_at_10: float
    ndcg_interval: Interval
    ndcg_change: float
    """Beside no debias; the interval is of paired differences."""
    ndcg_change_interval: Interval
    coverage: float
    gini: float
    novelty: float
    novelty_interval: Interval
    tail_share: float
    """Of the places, those of the least met items that hold a fifth of training interactions together."""
    tail_share_interval: Interval
    popularity_lift: float


@dataclass(frozen=True)
class Strengths:
    """One recommender at several strengths, its heads asked once."""

    recommender: LLMRecommender
    strengths: Sequence[float] = STRENGTHS

    def score_many(
        self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]
    ) -> Iterator[tuple[str, Scores]]:
        """(B, V) by strength: what ``debiased`` would give."""
        learned = self.recommender.debiased(0).score_batch(batch, tables, table_of)
        popularity = normalise(trend_score(tables, self.recommender.popularity, POPULARITY))[table_of]
        popularity[batch.lengths == 0] = 0
        for strength in self.strengths:
            yield str(strength), learned - np.float32(strength) * popularity


def trade_off(recommender: LLMRecommender, snapshot: Snapshot, targets: Targets, seed: int) -> list[Step]:
    """Each strength on at most COVERAGE_EVENTS of the targets' lists, drawn by seed."""
    targets = targets.sample(COVERAGE_EVENTS, seed)
    models = Strengths(recommender)
    found = evaluate(models, snapshot, targets, seed, coverage_events=len(targets), title="test: debias")
    counts, met = snapshot.item_counts, snapshot.histories(targets.lists).items
    rarity, is_tail = list_metrics.rarity(counts), list_metrics.in_tail(counts)
    shown = [found.shown[str(strength)][:, :K] for strength in models.strengths]
    ndcg = [found.ndcg(str(strength)) for strength in models.strengths]
    values = [
        column
        for lists, own in zip(shown, ndcg, strict=True)
        for column in (own, rarity[lists].mean(axis=1), is_tail[lists].mean(axis=1))
    ]
    samples = metrics.bootstrap_means(np.stack(values, axis=1), found.users(), _RESAMPLES, seed)
    steps = []
    for place, (strength, lists) in enumerate(zip(models.strengths, shown, strict=True)):
        own, drawn = values[3 * place : 3 * place + 3], samples[:, 3 * place : 3 * place + 3]
        steps.append(
            Step(
                strength=strength,
                ndcg_at_10=float(own[0].mean()),
                ndcg_interval=metrics.interval(drawn[:, 0]),
                ndcg_change=float(own[0].mean() - ndcg[0].mean()),
                ndcg_change_interval=metrics.interval(drawn[:, 0] - samples[:, 0]),
                coverage=list_metrics.coverage(lists, snapshot.n_items),
                gini=list_metrics.gini(lists, snapshot.n_items),
                novelty=float(own[1].mean()),
                novelty_interval=metrics.interval(drawn[:, 1]),
                tail_share=float(own[2].mean()),
                tail_share_interval=metrics.interval(drawn[:, 2]),
                popularity_lift=list_metrics.popularity_lift(lists, met, counts),
            )
        )
    return steps


def markdown_of(steps: Sequence[Step]) -> str:
    """One row for each strength."""
    lines = [
        "| debias | NDCG@10 [95 %] | change [95 %] | coverage | Gini | novelty [95 %] | tail share [95 %] "
        "| popularity lift |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for step in steps:
        change = "–" if step is steps[0] else _spanned(step.ndcg_change, step.ndcg_change_interval, "+.4f")
        lines.append(
            f"| {step.strength:g} | {_spanned(step.ndcg_at_10, step.ndcg_interval, '.4f')} | {change} "
            f"| {step.coverage:.3f} | {step.gini:.3f} | {_spanned(step.novelty, step.novelty_interval, '.2f')} "
            f"| {_spanned(step.tail_share, step.tail_share_interval, '.3f')} | {step.popularity_lift:+.2f} |"
        )
    return "\n".join(lines)


def plot_trade_off(steps: Sequence[Step]) -> "Plot":
    """Accuracy beside coverage and beside the tail's share, from one strength to the next."""
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(9, 4), layout="constrained")
    left, right = plot.subplots(1, 2, sharey=True)
    ndcg = [step.ndcg_at_10 for step in steps]
    below = [max(step.ndcg_at_10 - step.ndcg_interval[0], 0.0) for step in steps]
    above = [max(step.ndcg_interval[1] - step.ndcg_at_10, 0.0) for step in steps]
    for axes, places in ((left, [step.coverage for step in steps]), (right, [step.tail_share for step in steps])):
        axes.errorbar(places, ndcg, yerr=[below, above], marker="o", markersize=4, capsize=2, elinewidth=0.7)
        for step, place in zip(steps, places, strict=True):
            axes.annotate(
                f"{step.strength:g}", (place, step.ndcg_at_10), (3, 5), textcoords="offset points", fontsize=8
            )
        axes.margins(x=0.1)
    left.set(xlabel="coverage@10: share of the catalogue on any list", ylabel="NDCG@10, 95 % over users")
    left.set_ylim(bottom=0)
    right.set(xlabel="tail share of the places")
    plot.suptitle("Accuracy, coverage and tail by strength of the debias")
    return plot


def _spanned(value: float, span: Interval, form: str) -> str:
    return f"{value:{form}} [{span[0]:{form}}, {span[1]:{form}}]"
