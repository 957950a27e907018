"""A judgement as people read it: one table of models, one of slices, one of what the lists are like."""

from collections.abc import Iterable, Sequence

from training.comparison import WHOLE
from training.judgement import Judgement
from training.results_table import Row
from training.variants import PARTS

_LIST_FIGURES = {
    "coverage": "coverage",
    "gini": "Gini",
    "novelty": "novelty, bits",
    "diversity": "diversity",
    "serendipity": "serendipity",
    "popularity_lift": "popularity lift",
    "calibration": "calibration, KL",
}
_AT_CUTS = ("ndcg@5", "ndcg@20", "recall@5", "recall@20", "precision@10", "f1@10", "map@10", "hit_rate@10")


def written(judgement: Judgement) -> str:
    """All of it as Markdown."""
    whole = judgement_rows(judgement)
    n_lists, n_users = whole[0].n_events, whole[0].n_users
    seeds = ", ".join(map(str, judgement.seeds))
    intro = (
        f"**{judgement.protocol}**: {judgement.rule}. {n_lists:,} lists for {n_users:,} users; "
        f"{_several(len(judgement.seeds), 'seed')} ({seeds}); commit `{judgement.commit}`."
    )
    notes = [f"{note}." for note in judgement.notes]
    blocks = [
        " ".join([intro, *notes]),
        _models(judgement),
        _slices(judgement),
        _lists(judgement),
        *_ratings(judgement),
    ]
    return "\n\n".join(blocks) + "\n"


def judgement_rows(judgement: Judgement) -> list[Row]:
    """The rows of the whole: the recommender, its parts, then the baselines, the best first."""
    rows = [row for row in judgement.rows if row.part == WHOLE]
    return sorted(rows, key=lambda row: (_kind(row.model, judgement), -row.ndcg_at_10))


def _kind(model: str, judgement: Judgement) -> int:
    if model in judgement.settings:
        return 2
    return 1 if model.startswith(PARTS) else 0


def _models(judgement: Judgement) -> str:
    header = [
        "model",
        "NDCG@10 [95 %]",
        "recall@10",
        "MRR@10",
        f"{judgement.reference} − model [95 %]",
        "p (Holm)",
        "tuning, s",
        "fit, s",
        "numbers",
    ]
    lines = []
    for row in judgement_rows(judgement):
        is_reference = row.model == judgement.reference
        difference = f"{row.difference:+.4f} [{row.difference_low:+.4f}, {row.difference_high:+.4f}]"
        lines.append(
            [
                row.model,
                f"{row.ndcg_at_10:.4f} [{row.low:.4f}, {row.high:.4f}]",
                f"{row.recall_at_10:.4f}",
                f"{row.mrr_at_10:.4f}",
                "" if is_reference else difference,
                "" if row.p_value is None else f"{row.p_value:.3f}",
                _number(judgement.tuning_seconds.get(row.model), ".0f"),
                _number(judgement.seconds.get(row.model), ".1f"),
                _number(judgement.numbers.get(row.model), ",d"),
            ]
        )
    return _table(header, lines)


def _slices(judgement: Judgement) -> str:
    """The reference on every part, beside the baseline that is best there."""
    header = ["part", "lists", "users", judgement.reference, "best other", "its NDCG@10", "difference [95 %]"]
    lines = []
    whole = judgement_rows(judgement)[0]
    for part in dict.fromkeys(row.part for row in judgement.rows):
        if part != WHOLE and any(row.n_events == whole.n_events for row in judgement.rows if row.part == part):
            continue  # the same once more
        rows = {row.model: row for row in judgement.rows if row.part == part}
        own = rows[judgement.reference]
        others = [row for name, row in rows.items() if name in judgement.settings and name != judgement.reference]
        best = max(others, key=lambda row: row.ndcg_at_10)
        lines.append(
            [
                part,
                f"{own.n_events:,}",
                f"{own.n_users:,}",
                f"{own.ndcg_at_10:.4f} [{own.low:.4f}, {own.high:.4f}]",
                best.model,
                f"{best.ndcg_at_10:.4f}",
                f"{best.difference:+.4f} [{best.difference_low:+.4f}, {best.difference_high:+.4f}]",
            ]
        )
    return _table(header, lines)


def _lists(judgement: Judgement) -> str:
    header = ["model", *_AT_CUTS, *_LIST_FIGURES.values()]
    lines = []
    for row in judgement_rows(judgement):
        if row.model.startswith(PARTS):
            continue
        at, of = judgement.at_cuts[row.model], judgement.of_lists[row.model]
        lines.append(
            [row.model, *(f"{at[name]:.4f}" for name in _AT_CUTS), *(f"{of[name]:.3f}" for name in _LIST_FIGURES)]
        )
    return _table(header, lines)


def _ratings(judgement: Judgement) -> list[str]:
    """How well ratings are foretold, a table a split."""
    tables = []
    for split, rows in judgement.ratings.items():
        header = [f"ratings, {split} ({rows[0].n_ratings:,})", "RMSE [95 %]", "MAE [95 %]"]
        lines = [
            [
                row.model,
                f"{row.rmse:.4f} [{row.rmse_low:.4f}, {row.rmse_high:.4f}]",
                f"{row.mae:.4f} [{row.mae_low:.4f}, {row.mae_high:.4f}]",
            ]
            for row in rows
        ]
        tables.append(_table(header, lines))
    return tables


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _several(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown whose columns also stand in line as plain text."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]])
