"""The contract's numbers and names as dbt variables, so that SQL, training and serving cannot disagree.

Used by ``freshet transform`` and by the DAG ``build_marts``; ``dbt_project.yml`` has no defaults on purpose.
"""

from datetime import timedelta

from freshet.contract import (
    EVENT_WEIGHTS,
    INTERACTION_TYPES,
    MAX_ITEM_NEIGHBOURS,
    MAX_NEIGHBOUR_SESSIONS,
    MAX_PROFILE_ENTRIES,
    MAX_RECENT_EVENTS,
    MAX_SESSION_ITEMS,
    NEGATIVE_TYPES,
    SESSION_GAP,
    EventType,
)
from freshet.settings import load_settings


def dbt_vars() -> dict[str, int | list[str] | dict[str, float]]:
    """What every dbt invocation on `dbt/` must be given as ``--vars``; the configured event weights are among them."""
    weights = {**EVENT_WEIGHTS, **load_settings().event_weights}
    return {
        "session_gap_minutes": SESSION_GAP // timedelta(minutes=1),
        "max_recent_events": MAX_RECENT_EVENTS,
        "max_profile_entries": MAX_PROFILE_ENTRIES,
        "max_neighbour_sessions": MAX_NEIGHBOUR_SESSIONS,
        "max_session_items": MAX_SESSION_ITEMS,
        "max_item_neighbours": MAX_ITEM_NEIGHBOURS,
        "event_types": sorted(EventType),
        "interaction_types": sorted(INTERACTION_TYPES),
        "negative_types": sorted(NEGATIVE_TYPES),
        # Plain strings: Cosmos writes the variables as YAML, which would spell out what an enumeration is.
        "event_weights": {str(kind): weight for kind, weight in sorted(weights.items())},
    }
