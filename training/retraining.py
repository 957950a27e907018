"""Is there a reason to train, and will an update do? One rule, asked by the DAG whenever features are fresh.

The clock is that of the data. A training comes due at each tick of its schedule, and is worth while once events from
after that tick are there; so replaying a month of history trains as often as living through it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from freshet.schedule import last_tick
from freshet.settings import Settings
from training import registry
from training.promotion import MIN_EVENTS

MIN_FRESH_EVENTS = 2 * MIN_EVENTS
"""An update learns from the first half of what came since, and has to be judged on the other."""


@dataclass(frozen=True)
class Reason:
    """Why to train."""

    text: str
    is_update: bool = False
    """Go on from the champion; otherwise choose everything anew."""


@dataclass(frozen=True)
class Learned:
    """The newest event that versions have learned from, None where no version says so.

    A version that was not promoted counts too: the same events would only lead to the same verdict.
    """

    whole: datetime | None
    """By choosing everything anew."""
    any: datetime | None
    """By an update or that."""


def training_reason(
    *,
    has_champion: bool,
    learned: Learned,
    data_until: datetime,
    n_fresh_events: int,
    retrain_schedule: str,
    update_schedule: str,
) -> Reason | None:
    """Say why to train, or None when nothing is due. ``data_until`` is the newest event that there is."""
    if not has_champion:
        return Reason("there is no champion yet")
    if due := _due(retrain_schedule, learned.whole, data_until):
        return Reason(due)
    due = _due(update_schedule, learned.any, data_until)
    if due and n_fresh_events >= MIN_FRESH_EVENTS:
        return Reason(f"update {due}, and {n_fresh_events:,} events are new to the champion", is_update=True)
    return None


def _due(schedule: str, learned: datetime | None, data_until: datetime) -> str | None:
    tick = last_tick(schedule, data_until)
    if learned is not None and learned >= tick:
        return None
    until = "nobody knows when" if learned is None else f"{learned:%Y-%m-%d %H:%M}"
    return f"due since {tick:%Y-%m-%d %H:%M} ({schedule}): the newest version has learned from events until {until}"


def find_reason(settings: Settings) -> Reason | None:
    """Ask the rule about this home; an update that is due becomes a whole training where the world has drifted."""
    champion = registry.champion(settings.tracking_uri)
    learned = learned_until(settings.tracking_uri)
    known = champion.tags.get("data.until") if champion else None
    reason = training_reason(
        has_champion=champion is not None,
        learned=learned,
        data_until=data_until(settings.features_dir),
        n_fresh_events=events_after(settings.features_dir, datetime.fromisoformat(known) if known else None),
        retrain_schedule=settings.retrain_schedule,
        update_schedule=settings.update_schedule,
    )
    if reason is None or not reason.is_update or champion is None:
        return reason
    from training.drift import drift_of

    drift = drift_of(settings, champion, settings.seed)
    registry.note(champion, {f"drift/{name}": f"{value:.4f}" for name, value in drift.figures.items()})
    return Reason(f"drift since version {champion.version}: {drift.reason}") if drift.reason else reason


def version_to_update(tracking_uri: str) -> int:
    """The champion's number. Raises RegistryError if there is none."""
    found = registry.champion(tracking_uri)
    if found is None:
        raise registry.RegistryError("there is no champion to update: run `freshet train` first")
    return found.version


def learned_until(tracking_uri: str) -> Learned:
    """What all registered versions have learned from."""
    versions = [version for version in registry.versions(tracking_uri) if version.tags.get("data.until")]
    whole = [version for version in versions if registry.UPDATE_OF not in version.tags]
    newest, newest_whole = (
        max((datetime.fromisoformat(version.tags["data.until"]) for version in some), default=None)
        for some in (versions, whole)
    )
    return Learned(newest_whole, newest)


def events_after(features_dir: Path, moment: datetime | None) -> int:
    """How many interactions of the exported marts happened after a moment, or ever."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            "SELECT count(*) FROM (SELECT unnest(occurred_at) AS occurred_at FROM read_parquet($path))"
            " WHERE $moment IS NULL OR occurred_at > $moment",
            {"path": str(features_dir / "fct_training_sequences.parquet"), "moment": moment},
        ).fetchall()
    return int(found[0][0])


def data_until(features_dir: Path) -> datetime:
    """When the newest interaction of the exported marts happened."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        newest: datetime = connection.execute(
            "SELECT max(list_max(occurred_at)) FROM read_parquet(?)",
            [str(features_dir / "fct_training_sequences.parquet")],
        ).fetchall()[0][0]
    return newest.astimezone(UTC)
