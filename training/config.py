"""What a training run can be told: one frozen configuration from settings and a form; unknown names are refused."""

import dataclasses
import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from freshet.settings import Settings, load_settings
from training.hyperparameters import found_settings
from training.item_item import ItemItemConfig
from training.sequence_network import SequenceConfig
from training.transitions import TransitionConfig

_CODE = 14
"""Raised when the same configuration and data would give another model: work kept from before is then not reused."""


class ConfigError(ValueError):
    """A name or a value is not one that training knows; the message names it."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a run gives, beside the data."""

    text_backbone: str = Settings.model_fields["text_backbone"].default
    """The language model that reads items."""
    epochs: int = Settings.model_fields["train_epochs"].default
    """Passes of the sequence head at most; validation stops it earlier. 0 leaves that head out."""
    seed: int = Settings.model_fields["seed"].default
    """Item order, weights, samples, ties and bootstrap draw from it."""
    as_of: int | None = None
    """Microseconds since 1970: train as if nothing later were known. None takes everything there is."""
    update_of: int | None = None
    """Version to go on from with what came since, choosing nothing anew; None trains a whole new model."""
    budget_minutes: float | None = Settings.model_fields["train_budget_minutes"].default
    """Minutes for a run: fewer settings are tried and fewer epochs trained. None takes the time that it takes."""
    debias: float = Settings.model_fields["debias"].default
    """How much less than learned the lists pay for popularity; 0 is as learned."""
    text_size: int = 256
    """E: dimensions kept of the language model's."""
    tuning_events: int = 4_000
    """Validation events, drawn at random, by which choices are made."""
    tuning_items: int = 6_000
    """Most met items on which the item-item head's ridge, text weight and rows are chosen."""
    blend_events: int = 4_000
    """Validation events, up to half of them at the start of a session, by which the heads' weights are found."""
    test_events: int = 20_000
    """Test events at most."""
    item_item: ItemItemConfig = field(default_factory=ItemItemConfig)
    sequence: SequenceConfig = field(default_factory=SequenceConfig)
    transitions: TransitionConfig = field(default_factory=TransitionConfig)

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        if self.epochs < 0:
            raise ConfigError(f"epochs is {self.epochs}: give 0 or more")
        if self.budget_minutes is not None and not 0 < self.budget_minutes < math.inf:
            raise ConfigError(f"budget_minutes is {self.budget_minutes}: give more than 0")
        if not 0 <= self.debias < math.inf:
            raise ConfigError(f"debias is {self.debias}: give 0 or more")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}: give 0 or more")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as logged."""
        return dataclasses.asdict(self)

    def key(self, content_hash: str) -> str:
        """Names a run's working folder: the same configuration on the same data finds its earlier work."""
        text = json.dumps([_CODE, self.as_dict(), content_hash], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_config(form: Mapping[str, Any] | None = None) -> tuple[Settings, TrainConfig]:
    """The settings, and the configuration they and the last search give with a form's values put in.

    Raises ConfigError.
    """
    settings = load_settings()
    known = {each.name for each in dataclasses.fields(TrainConfig)}
    given = {name: value for name, value in (form or {}).items() if value is not None}
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"training has no {name!r}: " + (f"did you mean {close[0]}?" if close else str(sorted(known)))
            )
    defaults: dict[str, Any] = {
        "text_backbone": settings.text_backbone,
        "epochs": settings.train_epochs,
        "seed": settings.seed,
        "budget_minutes": settings.train_budget_minutes,
        "debias": settings.debias,
    }
    try:
        found = found_settings(settings.models_dir)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if found is not None:
        defaults["sequence"] = found.sequence
    return settings, TrainConfig(**{**defaults, **given})
