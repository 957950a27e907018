"""Is there a reason to retrain? One rule, asked by the DAG whenever features are fresh, before it spends minutes.

The clock is that of the data. Retraining comes due at each tick of ``retrain_schedule``, and is worth while once events
from after that tick are there; so replaying a month of history retrains as often as living through it.
"""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from freshet.schedule import last_tick
from training import registry


def retraining_reason(
    *, requested: bool, has_champion: bool, trained_until: datetime | None, data_until: datetime, schedule: str
) -> str | None:
    """Say why the recommender should be retrained, or None when it need not be.

    ``trained_until`` is the newest event that any registered version has learned from, ``data_until`` the newest there
    is. A version that was not promoted counts too: the same events would only lead to the same verdict.
    """
    if requested:
        return "a person asked for it"
    if not has_champion:
        return "there is no champion yet"
    due = last_tick(schedule, data_until)
    if trained_until is None or trained_until < due:
        learned = "nobody knows when" if trained_until is None else f"{trained_until:%Y-%m-%d %H:%M}"
        return (
            f"due since {due:%Y-%m-%d %H:%M} ({schedule}): the newest version has learned from events until {learned}"
        )
    return None


def version_to_update(tracking_uri: str) -> int:
    """The champion's number. Raises RegistryError if there is none."""
    found = registry.champion(tracking_uri)
    if found is None:
        raise registry.RegistryError("there is no champion to update: run `freshet train` first")
    return found.version


def trained_until(tracking_uri: str) -> datetime | None:
    """The newest event that any registered version has learned from."""
    ends = [version.tags.get("data.until") for version in registry.versions(tracking_uri)]
    return max((datetime.fromisoformat(end) for end in ends if end), default=None)


def data_until(features_dir: Path) -> datetime:
    """When the newest interaction of the exported marts happened."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        newest: datetime = connection.execute(
            "SELECT max(list_max(occurred_at)) FROM read_parquet(?)",
            [str(features_dir / "fct_training_sequences.parquet")],
        ).fetchall()[0][0]
    return newest.astimezone(UTC)
