"""The contract's numbers and names as dbt variables, so that SQL, training and serving cannot disagree.

Used by ``freshet transform`` and by the DAG ``build_marts``; ``dbt_project.yml`` has no defaults on purpose.
"""

from datetime import timedelta

from freshet.contract import INTERACTION_TYPES, MAX_RECENT_EVENTS, NEGATIVE_TYPES, SESSION_GAP, EventType


def dbt_vars() -> dict[str, int | list[str]]:
    """What every dbt invocation on `dbt/` must be given as ``--vars``."""
    return {
        "session_gap_minutes": SESSION_GAP // timedelta(minutes=1),
        "max_recent_events": MAX_RECENT_EVENTS,
        "event_types": sorted(EventType),
        "interaction_types": sorted(INTERACTION_TYPES),
        "negative_types": sorted(NEGATIVE_TYPES),
    }
