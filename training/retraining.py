"""Is there a reason to retrain? One rule, asked by the scheduled DAG before it spends minutes."""

from datetime import datetime, timedelta

RETRAIN_AFTER = timedelta(days=7)
"""An older champion is retrained when new events arrive; until then fresh features keep the answers fresh."""


def retraining_reason(champion_created_at: datetime | None, now: datetime, *, requested: bool) -> str | None:
    """Say why the recommender should be retrained, or None when it need not be.

    ``champion_created_at`` is None while there is no champion; ``now`` is the time of the run that asks.
    """
    if requested:
        return "a person asked for it"
    if champion_created_at is None:
        return "there is no champion yet"
    age = now - champion_created_at
    if age >= RETRAIN_AFTER:
        return f"new events arrived and the champion is {age.days} days old"
    return None
