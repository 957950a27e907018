"""What is asked of the judge, and what it answers: plain data that a file holds whole."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from freshet.files import write_text
from training.baseline_tuning import Budget
from training.ratings import RatingRow
from training.results_table import Row


@dataclass(frozen=True)
class Plan:
    """What is asked of the judge, beside the recommender's configuration."""

    protocol: str = "successive"
    seeds: int = 1
    """Of the recommender and of luck; the split and what was tuned for the baselines stay the same."""
    budget: Budget = field(default_factory=Budget)
    baselines_only: bool = False


@dataclass(frozen=True)
class Judgement:
    """What came out; all of it lies in ``judgement.json``."""

    protocol: str
    rule: str
    notes: list[str]
    commit: str
    content_hash: str
    seeds: list[int]
    reference: str
    """The model that the others are compared with."""
    rows: list[Row]
    at_cuts: dict[str, dict[str, float]]
    """By model, ``ndcg@5`` and all the others."""
    of_lists: dict[str, dict[str, float]]
    """By model, what the lists of ten are like."""
    settings: dict[str, dict[str, Any]]
    """What was chosen for each baseline."""
    trials: dict[str, int]
    seconds: dict[str, float]
    """Of the fit on the test's training data; for the recommender of all heads."""
    tuning_seconds: dict[str, float]
    numbers: dict[str, int]
    """Numbers that a fitted model holds."""
    ratings: dict[str, list[RatingRow]]
    """By split, how well ratings are foretold; empty where there are none."""

    def save(self, path: Path) -> None:
        """Write at once or not at all."""
        write_text(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> "Judgement":
        """Read what ``save`` wrote."""
        read = json.loads(path.read_text())
        rows = [Row(**row) for row in read["rows"]]
        ratings = {split: [RatingRow(**row) for row in found] for split, found in read["ratings"].items()}
        return cls(**{**read, "rows": rows, "ratings": ratings})
