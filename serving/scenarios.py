"""Where on a site a list stands, and what that changes. This is the one place to configure it, and `FRESHET_SCENARIOS`
names a file that changes some of it for a shop of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from freshet.settings import SettingsError
from serving.rules import MAX_LIST_LENGTH, MAX_RULES, NO_RULES, Rule, Rules

ScenarioName = Literal["home", "similar", "basket", "search"]


@dataclass(frozen=True)
class Scenario:
    """How lists of one place are made."""

    hides_seen: bool
    """Leave out whatever the user ever met; what they turned down is always left out."""
    personal_weight: float
    """What the user's own score counts beside a query: the query is a head like others, and has weight 1."""
    needs_items: bool = False
    """``context.item_ids`` are what the list goes with: they count as what the user does right now."""
    needs_query: bool = False
    cold_slots: int = 0
    """Places of every list, never the first, for items that hardly anybody has met (``training.newness.RARELY_MET``):
    as many lines as are missing give way to the best of these, which come last."""
    rules: Rules = NO_RULES
    """What stands where for reasons of the shop."""


Scenarios = Mapping[ScenarioName, Scenario]

SCENARIOS: Final[Scenarios] = MappingProxyType(
    {
        "home": Scenario(hides_seen=True, personal_weight=0.5),
        "similar": Scenario(hides_seen=False, personal_weight=0.5, needs_items=True),
        "basket": Scenario(hides_seen=False, personal_weight=0.5, needs_items=True),
        "search": Scenario(hides_seen=False, personal_weight=0.2, needs_query=True),
    }
)


class ScenarioChanges(BaseModel):
    """What a file may say of one scenario; what it leaves out stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hides_seen: bool | None = None
    personal_weight: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    cold_slots: Annotated[int, Field(ge=0, lt=MAX_LIST_LENGTH)] = 0
    rules: Annotated[list[Rule], Field(max_length=MAX_RULES)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _pins_agree(self) -> Self:
        Rules.of(self.rules)
        return self

    def of(self, scenario: Scenario) -> Scenario:
        """The scenario, changed."""
        return replace(
            scenario,
            hides_seen=scenario.hides_seen if self.hides_seen is None else self.hides_seen,
            personal_weight=scenario.personal_weight if self.personal_weight is None else self.personal_weight,
            cold_slots=self.cold_slots,
            rules=Rules.of(self.rules),
        )


_FILE: Final[TypeAdapter[dict[ScenarioName, ScenarioChanges]]] = TypeAdapter(dict[ScenarioName, ScenarioChanges])


def read_scenarios(path: Path | None) -> Scenarios:
    """The scenarios as the file at ``path`` changes them. Raises SettingsError that names the first wrong key."""
    if path is None:
        return SCENARIOS
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"FRESHET_SCENARIOS: {path} cannot be read: {reason}") from None
    try:
        changes = _FILE.validate_python({} if content is None else content)
    except ValidationError as error:
        raise SettingsError(f"FRESHET_SCENARIOS: {path}: {_first_problem(error)}") from None
    return {name: changes[name].of(scenario) if name in changes else scenario for name, scenario in SCENARIOS.items()}


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "literal_error" and "[key]" in first["loc"]:
        return f"{place}: there is no such scenario: choose from {', '.join(SCENARIOS)}"
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown key: leave it out, or check its spelling"
    got = f" (got {first['input']!r})" if isinstance(first["input"], str | int | float) else ""
    return f"{place or 'the file'}: {str(first['msg']).removeprefix('Value error, ')}{got}"
