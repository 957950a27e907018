"""Feast, opened on a home: register the definitions of `feature_repo/`, fill the online store, check what it answers.

Feast takes seconds to import, so it is imported inside functions: naming a feature service costs nothing.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import duckdb
import yaml  # type: ignore[import-untyped]

from freshet.feature_definitions import FEATURE_REPO, feature_definitions

if TYPE_CHECKING:
    from feast import FeatureStore

RECOMMENDER_SERVICE = "recommender_v1"
CATALOGUE_SERVICE = "catalogue_v1"
RECENT_EVENTS_PUSH = "user_recent_events_push"

USER_RECENT_EVENTS = "user_recent_events"
USER_ACTIVITY_DAILY = "user_activity_daily"
ITEM_POPULARITY_DAILY = "item_popularity_daily"


class FeatureStoreError(RuntimeError):
    """The features cannot be refreshed; the message says what to run first."""


@dataclass(frozen=True)
class _Mart:
    """The export that a view is filled from, and the column that names its entity."""

    view: str
    name: str
    join_key: str

    def path(self, home: Path) -> Path:
        return home / "features" / f"{self.name}.parquet"


MARTS = (
    _Mart(USER_RECENT_EVENTS, "fct_user_recent_events", "user_id"),
    _Mart(USER_ACTIVITY_DAILY, "fct_user_activity_daily", "user_id"),
    _Mart(ITEM_POPULARITY_DAILY, "fct_item_popularity_daily", "item_id"),
)

SAMPLE_SIZE = 200


def open_store(home: Path) -> "FeatureStore":
    """Feast on this home. Open one per process and reader; a store is safe to read from several threads."""
    from feast import FeatureStore, RepoConfig

    home = home.resolve()
    (home / "feast").mkdir(parents=True, exist_ok=True)
    text = (FEATURE_REPO / "feature_store.yaml").read_text()
    config = yaml.safe_load(Template(text).substitute(FRESHET_HOME=str(home)))
    return FeatureStore(config=RepoConfig(**config, repo_path=FEATURE_REPO))


def apply(home: Path) -> int:
    """Make registry and online store match `feature_repo/`, and return the number of definitions."""
    from feast.repo_operations import extract_objects_for_apply_delete

    for mart in MARTS:
        _require(mart.path(home))
    store = open_store(home)
    with feature_definitions(home) as repo:
        to_apply, to_delete, _, _ = extract_objects_for_apply_delete(store.project, store.registry, repo)
        store.apply(to_apply, objects_to_delete=to_delete, partial=False)
    return len(to_apply)


def materialize(home: Path, full: bool = False) -> int:
    """Bring the online store up to the end of the data, and return the number of rows that were read for it.

    Incremental: each view goes on where it last ended, that moment included. Rows the nearline worker pushed meanwhile
    stay when they are newer. ``full`` starts from the beginning, for exports whose past has changed.
    """
    store = open_store(home)
    end = data_end(home)
    return sum(_materialize_view(store, home, mart, end, full) for mart in MARTS)


def data_end(home: Path) -> datetime:
    """The end of the last day (UTC) of which anything is known; later rows of the marts only let windows run empty."""
    path = _require(MARTS[0].path(home))
    newest: datetime | None = _query("SELECT max(event_timestamp) FROM read_parquet(?)", [str(path)])[0][0]
    if newest is None:
        raise FeatureStoreError(f"{path} is empty: no interaction has been ingested; run `freshet ingest` first")
    day = newest.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1)


def verify(home: Path, sample_size: int = SAMPLE_SIZE) -> int:
    """Compare sampled online rows with the marts, and return how many: the same values, or a newer pushed row.

    Raises FeatureStoreError naming the first entities that differ.
    """
    store, end = open_store(home), data_end(home)
    return sum(_verify_view(store, home, mart, end, sample_size) for mart in MARTS)


def _materialize_view(store: "FeatureStore", home: Path, mart: _Mart, end: datetime, full: bool) -> int:
    view = store.get_feature_view(mart.view)
    previous_end = None if full else view.most_recent_end_time
    start, n_rows = _query(
        f"SELECT min(event_timestamp), count(DISTINCT {mart.join_key}) FROM read_parquet(?)"  # noqa: S608 (a constant)
        " WHERE event_timestamp >= ? AND event_timestamp <= ?",
        [str(mart.path(home)), previous_end or datetime.min.replace(tzinfo=UTC), end],
    )[0]
    if n_rows:
        store.materialize(start, end, feature_views=[mart.view])
    return int(n_rows)


def _verify_view(store: "FeatureStore", home: Path, mart: _Mart, end: datetime, sample_size: int) -> int:
    features = [field.name for field in store.get_feature_view(mart.view).features]
    expected = _newest_rows(mart, home, features, end, sample_size)
    if not expected:
        return 0
    response = store.get_online_features(
        features=[f"{mart.view}:{feature}" for feature in features],
        entity_rows=[{mart.join_key: entity_id} for entity_id in expected],
    )
    found = _online_rows(response, features)
    wrong = [
        entity_id
        for (entity_id, (known_at, values)), (online_at, online) in zip(expected.items(), found, strict=True)
        if online_at < known_at or (online_at == known_at and online != values)
    ]
    if wrong:
        raise FeatureStoreError(
            f"{mart.view}: {len(wrong)} of {len(expected)} sampled online rows differ from {mart.name}, "
            f"such as {mart.join_key} {', '.join(map(repr, wrong[:3]))}; fill it anew with `freshet features --full`"
        )
    return len(expected)


def _newest_rows(
    mart: _Mart, home: Path, features: list[str], end: datetime, sample_size: int
) -> dict[str, tuple[datetime, list[Any]]]:
    """The mart's newest row of some entities, always the same ones for the same mart."""
    newest = ", ".join(f"arg_max({feature}, event_timestamp) AS {feature}" for feature in features)
    rows = _query(
        f"SELECT {mart.join_key}, max(event_timestamp), {newest} FROM read_parquet(?)"  # noqa: S608 (names of our own)
        f" WHERE event_timestamp <= ? GROUP BY {mart.join_key} ORDER BY hash({mart.join_key}), {mart.join_key} LIMIT ?",
        [str(mart.path(home)), end, sample_size],
    )
    return {entity_id: (known_at, [_comparable(value) for value in values]) for entity_id, known_at, *values in rows}


def _online_rows(response: Any, features: list[str]) -> list[tuple[datetime, list[Any]]]:
    """What Feast answers, with the exact event time, which its ``to_dict`` would cut to seconds."""
    columns = response.to_dict()
    names = list(response.proto.metadata.feature_names.val)
    stamps = response.proto.results[names.index(features[0])].event_timestamps
    return [
        (
            datetime.fromtimestamp(stamp.seconds, UTC) + timedelta(microseconds=stamp.nanos // 1_000),
            [_comparable(columns[feature][row]) for feature in features],
        )
        for row, stamp in enumerate(stamps)
    ]


def _comparable(value: Any) -> Any:
    """One spelling for what the mart and Feast spell differently: a missing number, a moment."""
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).timestamp()
    return None if isinstance(value, float) and math.isnan(value) else value


def _require(path: Path) -> Path:
    if not path.exists():
        raise FeatureStoreError(f"{path} does not exist: run `freshet transform` first")
    return path


def _query(statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(statement, values).fetchall()
