"""The sequence head's settings that a search has found: one file, which every later training reads.

``search_hyperparameters`` writes it. Without it, and in updates (which keep their champion's network), nothing changes.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from freshet.files import write_text
from training.sequence_network import SequenceConfig

FILE = "hyperparameters.json"


@dataclass(frozen=True)
class Found:
    """What was chosen, and why."""

    sequence: SequenceConfig
    reason: str
    run_id: str
    """Of the search in MLflow."""

    def save(self, models_dir: Path) -> None:
        """Put it where trainings look."""
        write_text(models_dir / FILE, json.dumps(asdict(self), indent=1))


def found_settings(models_dir: Path) -> Found | None:
    """What the last search chose; None before the first. Raises ValueError where the file is not one of these."""
    path = models_dir / FILE
    if not path.exists():
        return None
    try:
        read: dict[str, Any] = json.loads(path.read_text())
        return Found(SequenceConfig(**read["sequence"]), str(read["reason"]), str(read["run_id"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no settings that this Freshet knows ({error}): delete it, or run search_hyperparameters"
        ) from error
