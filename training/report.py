"""A run's figures as people and other runs read them: table, plots, card, MLflow metrics."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.blend import REGIMES
from training.comparison import WHOLE
from training.debias import Step, markdown_of, plot_trade_off
from training.llm_recommender import HEADS
from training.model_card import CardContent, Figure, write_card
from training.promotion import RECOMMENDER_NAME
from training.reliability import Reliability, plot_reliability
from training.results_table import Row, markdown_table
from training.variants import PARTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

PLOTTED_MODELS = (RECOMMENDER_NAME, "ease", "item_knn", "popularity_7d")


def metrics_of(rows: Sequence[Row]) -> dict[str, float]:
    """MLflow metrics in groups: ``test/<model>/<metric>``, and ``slice_<name>/<model>/<metric>``."""
    found: dict[str, float] = {}
    for row in rows:
        prefix = f"test/{row.model}" if row.part == WHOLE else f"slice_{row.part}/{row.model}"
        found |= {
            f"{prefix}/ndcg_at_10": row.ndcg_at_10,
            f"{prefix}/ndcg_at_10_lower": row.low,
            f"{prefix}/ndcg_at_10_upper": row.high,
            f"{prefix}/recall_at_10": row.recall_at_10,
        }
        if row.part == WHOLE:
            found[f"{prefix}/mrr_at_10"] = row.mrr_at_10
            found[f"{prefix}/difference_lower"] = row.difference_low
            found[f"{prefix}/difference_upper"] = row.difference_high
            if row.coverage_at_10 is not None:
                found[f"{prefix}/coverage_at_10"] = row.coverage_at_10
    return found


def table_of(rows: Sequence[Row], holdout: Mapping[str, Any]) -> dict[str, Any]:
    """``evaluation/table.json``: what was predicted, and every figure."""
    return {"holdout": dict(holdout), "rows": [asdict(row) for row in rows]}


def card(rows: Sequence[Row], *, split: str, text_encoder: Mapping[str, Any], **content: Any) -> str:
    """The model card of a run."""
    models = {row.model for row in rows if not row.model.startswith(PARTS)}
    by_part: dict[str, list[Figure]] = {}
    for row in rows:
        if row.model in models:
            figure = Figure(row.model, row.ndcg_at_10, row.low, row.high, row.recall_at_10, row.n_events)
            by_part.setdefault(row.part, []).append(figure)
    figures = by_part.pop(WHOLE)
    return write_card(CardContent(figures=figures, slices=by_part, split=split, text_encoder=text_encoder, **content))


def write_evaluation(
    folder: Path,
    rows: Sequence[Row],
    holdout: Mapping[str, Any],
    curve: Sequence[Mapping[str, float]],
    weights: Sequence[Sequence[float]],
    debias: Sequence[Step],
    reliability: Reliability | None,
) -> None:
    """Tables as JSON and Markdown, and the plots; ``table.json`` comes last, and says that all are there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(markdown_table(list(rows)) + "\n")
    (folder / "slices.png").write_bytes(_png(plot_slices(rows)))
    (folder / "coverage.png").write_bytes(_png(plot_coverage(rows)))
    (folder / "weights.png").write_bytes(_png(plot_weights(weights)))
    if curve:
        (folder / "learning_curve.png").write_bytes(_png(plot_learning_curve(curve)))
    (folder / "debias.json").write_text(json.dumps([asdict(step) for step in debias], indent=1))
    (folder / "debias.md").write_text(markdown_of(debias) + "\n")
    (folder / "debias.png").write_bytes(_png(plot_trade_off(debias)))
    if reliability is not None:
        (folder / "calibration.json").write_text(json.dumps(asdict(reliability), indent=1))
        (folder / "calibration.png").write_bytes(_png(plot_reliability(reliability)))
    (folder / "table.json").write_text(json.dumps(table_of(rows, holdout), indent=1))


def plot_learning_curve(curve: Sequence[Mapping[str, float]]) -> "Plot":
    """Loss and validation NDCG@10 of the sequence head by epoch."""
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(6, 3.5), layout="constrained")
    left = plot.subplots()
    epochs = [point["epoch"] for point in curve]
    left.plot(epochs, [point["loss"] for point in curve], color="tab:gray", label="training loss")
    left.set(xlabel="epoch", ylabel="training loss", title="Sequence head")
    right = left.twinx()
    right.plot(epochs, [point["ndcg_at_10"] for point in curve], color="tab:blue", marker="o", markersize=3)
    right.set_ylabel("validation NDCG@10", color="tab:blue")
    return plot


def plot_slices(rows: Sequence[Row]) -> "Plot":
    """NDCG@10 with 95 % intervals by part of the test events."""
    from matplotlib.figure import Figure as Plot

    parts = list(dict.fromkeys(row.part for row in rows))
    plot = Plot(figsize=(8, 1.5 + 0.45 * len(parts)), layout="constrained")
    axes = plot.subplots()
    shown = [name for name in PLOTTED_MODELS if any(row.model == name for row in rows)]
    for number, name in enumerate(shown):
        own = [row for row in rows if row.model == name]
        places = [parts.index(row.part) + 0.16 * (number - 1.5) for row in own]
        values = [row.ndcg_at_10 for row in own]
        spans = [[row.ndcg_at_10 - row.low for row in own], [row.high - row.ndcg_at_10 for row in own]]
        spans = [[max(each, 0.0) for each in side] for side in spans]
        axes.errorbar(values, places, xerr=spans, fmt="o", markersize=4, capsize=2, label=name)
    sizes = {row.part: row.n_events for row in rows}
    axes.set_yticks(range(len(parts)), [f"{part} ({sizes[part]:,})" for part in parts])
    axes.invert_yaxis()
    axes.set(xlabel="NDCG@10, 95 % over users", title="Test events by part")
    axes.legend(loc="best", fontsize=8)
    return plot


def plot_coverage(rows: Sequence[Row]) -> "Plot":
    """How good the lists are beside the share of the catalogue that they show."""
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(7, 4.5), layout="constrained")
    axes = plot.subplots()
    for row in rows:
        if row.part != WHOLE or row.coverage_at_10 is None:
            continue
        is_part = row.model.startswith(PARTS)
        axes.plot(row.coverage_at_10, row.ndcg_at_10, "o", color="tab:gray" if is_part else "tab:blue", markersize=4)
        axes.annotate(row.model, (row.coverage_at_10, row.ndcg_at_10), (4, 3), textcoords="offset points", fontsize=7)
    axes.set(xlabel="coverage@10: share of the catalogue on any list", ylabel="NDCG@10", title="Accuracy and coverage")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    return plot


def plot_weights(weights: Sequence[Sequence[float]]) -> "Plot":
    """How much each head (columns) counts at each kind of moment (rows)."""
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(8, 3.2), layout="constrained")
    axes = plot.subplots()
    largest = max(1.0, *(abs(weight) for row in weights for weight in row))
    axes.imshow(weights, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
    for place, row in enumerate(weights):
        for column, weight in enumerate(row):
            if weight:
                axes.text(column, place, f"{weight:.2f}", ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(HEADS)), HEADS, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(REGIMES)), REGIMES, fontsize=8)
    axes.set_title("Weights of the heads")
    return plot


def _png(plot: "Plot") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(plot).print_png(buffer)
    return buffer.getvalue()
