"""Where on a site a list stands, and what that changes: the one place to configure it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

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


SCENARIOS: Final[Mapping[ScenarioName, Scenario]] = MappingProxyType(
    {
        "home": Scenario(hides_seen=True, personal_weight=0.5),
        "similar": Scenario(hides_seen=False, personal_weight=0.5, needs_items=True),
        "basket": Scenario(hides_seen=False, personal_weight=0.5, needs_items=True),
        "search": Scenario(hides_seen=False, personal_weight=0.2, needs_query=True),
    }
)
