"""A model's card: one page of Markdown for whoever opens a version in the registry.

Written from the figures of the run itself, so nothing in it can be better than what was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LIMITS = (
    "It learns from what people did, so it repeats what they were shown: popular items stay favoured.",
    "Intervals are over test users; with few of them they are wide, and small differences mean nothing.",
    "Items are read in the language of their texts; the default language model knows English best.",
    "It knows no consequences of a recommendation: not for credit, health, employment or the like.",
)


@dataclass(frozen=True)
class Figure:
    """One model's NDCG@10 on one slice with its 95 % interval over users, and recall@10."""

    model: str
    ndcg_at_10: float
    low: float
    high: float
    recall_at_10: float | None = None
    n_events: int | None = None


@dataclass(frozen=True)
class CardContent:
    """What a card tells; every part comes from the run."""

    figures: Sequence[Figure]
    """The model and every baseline on the whole test period."""
    slices: Mapping[str, Sequence[Figure]] = field(default_factory=dict)
    """The same by part of the test events."""
    split: str = ""
    """How the test events were chosen, in a sentence."""
    data: Mapping[str, Any] = field(default_factory=dict)
    text_encoder: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Weight of each head by regime."""
    config: Mapping[str, Any] = field(default_factory=dict)
    git_commit: str = "unknown"


def write_card(content: CardContent) -> str:
    """The card as Markdown."""
    sections = [
        (
            "",
            "# Freshet recommender\n\nRanks the catalogue for one person at one moment, from what they did until then.",
        ),
        ("Quality", "\n\n".join([content.split, _figures(content.figures)])),
        *((f"Quality: {name}", _figures(figures)) for name, figures in content.slices.items()),
        ("What counts how much", _heads(content.heads)),
        ("Trained on", _pairs(content.data)),
        ("Reads texts with", _pairs(content.text_encoder)),
        ("Configuration", _pairs(content.config)),
        ("Limits", "\n".join(f"- {limit}" for limit in LIMITS)),
        ("", f"Code: `{content.git_commit}`"),
    ]
    blocks = [f"## {title}\n\n{body}" if title else body for title, body in sections if body.strip()]
    return "\n\n".join(blocks) + "\n"


def _figures(figures: Sequence[Figure]) -> str:
    rows = [
        [
            figure.model,
            f"{figure.ndcg_at_10:.4f} [{figure.low:.4f}, {figure.high:.4f}]",
            "" if figure.recall_at_10 is None else f"{figure.recall_at_10:.4f}",
            "" if figure.n_events is None else f"{figure.n_events:,}",
        ]
        for figure in figures
    ]
    return _table(["model", "NDCG@10 [95 %]", "recall@10", "events"], rows) if rows else ""


def _heads(heads: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for weights in heads.values() for name in weights))
    rows = [[regime, *(f"{weights.get(name, 0):.2f}" for name in names)] for regime, weights in heads.items()]
    return _table(["moment", *names], rows) if names else ""


def _pairs(values: Mapping[str, Any], prefix: str = "") -> str:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines.append(_pairs(value, f"{prefix}{key}."))
        else:
            lines.append(f"- {prefix}{key}: `{_one_line(value)}`")
    return "\n".join(line for line in lines if line)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _one_line(value: object) -> str:
    return " ".join(str(value).replace("`", "'").split())
