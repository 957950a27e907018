"""Feast, opened on a home: register the definitions of `feature_repo/`, and fill the online store from the marts.

Feast takes seconds to import, so it is imported inside functions: naming a feature service costs nothing.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from string import Template
from types import ModuleType
from typing import TYPE_CHECKING, Any

import duckdb
import yaml  # type: ignore[import-untyped]

from freshet.feature_definitions import FEATURE_REPO, feature_definitions

if TYPE_CHECKING:
    from feast import FeatureStore

RECOMMENDER_SERVICE = "recommender_v1"
CATALOGUE_SERVICE = "catalogue_v1"
USER_HISTORY_SERVICE = "user_history_v1"
RECENT_EVENTS_PUSH = "user_recent_events_push"

USER_RECENT_EVENTS = "user_recent_events"
USER_ACTIVITY_DAILY = "user_activity_daily"
ITEM_POPULARITY_DAILY = "item_popularity_daily"


class FeatureStoreError(RuntimeError):
    """The features cannot be refreshed; the message says what to run first."""


@dataclass(frozen=True)
class Mart:
    """The export that a view is filled from, and the column that names its entity."""

    view: str
    name: str
    join_key: str

    def path(self, home: Path) -> Path:
        """What dbt exports."""
        return home / "features" / f"{self.name}.parquet"

    def filled_path(self, home: Path) -> Path:
        """Which rows the online store was last filled with, as fingerprints."""
        return home / "feast" / "filled" / f"{self.name}.parquet"


POPULARITY_MART = Mart(ITEM_POPULARITY_DAILY, "fct_item_popularity_daily", "item_id")
MARTS = (
    Mart(USER_RECENT_EVENTS, "fct_user_recent_events", "user_id"),
    Mart(USER_ACTIVITY_DAILY, "fct_user_activity_daily", "user_id"),
    POPULARITY_MART,
)

ROWS_AT_ONCE = 500


def open_store(home: Path) -> "FeatureStore":
    """Feast on this home. Open one per process and reader; a store is safe to read from several threads."""
    lighten_feast()
    from feast import FeatureStore, RepoConfig

    home = home.resolve()
    (home / "feast").mkdir(parents=True, exist_ok=True)
    text = (FEATURE_REPO / "feature_store.yaml").read_text()
    config = yaml.safe_load(Template(text).substitute(FRESHET_HOME=str(home)))
    return FeatureStore(config=RepoConfig(**config, repo_path=FEATURE_REPO))


def apply(home: Path) -> int:
    """Make registry and online store match `feature_repo/`, and return the number of definitions."""
    lighten_feast()
    from feast.repo_operations import extract_objects_for_apply_delete

    for mart in MARTS:
        _require(mart.path(home))
    store = open_store(home)
    with feature_definitions(home) as repo:
        to_apply, to_delete, _, _ = extract_objects_for_apply_delete(store.project, store.registry, repo)
        store.apply(to_apply, objects_to_delete=to_delete, partial=False)
    return len(to_apply)


def materialize(home: Path, full: bool = False) -> int:
    """Bring the online store up to the end of the data, and return the number of rows that are new in it.

    Incremental by content: a row counts as new when the last fill did not take just it, however old it is, so that a
    backfill reaches the store as well. What the nearline worker pushed meanwhile stays. ``full`` takes all rows again.
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


def filled_rows(home: Path, mart: Mart, sample_size: int | None) -> Iterator[list[tuple[dict[str, Any], bool]]]:
    """The mart's newest row of every entity, or of a sample, some at a time; and whether the last fill took just it.

    After each day of data the sample is another one; a rerun takes the same.
    """
    if not mart.filled_path(home).exists():
        raise FeatureStoreError(f"{mart.view} has never been filled: run `freshet features` first")
    end = data_end(home)
    with _fingerprints(home, mart, end) as connection:
        connection.execute(
            "CREATE TABLE chosen AS "
            "SELECT newest.*, newest.fingerprint IS NOT DISTINCT FROM filled.fingerprint AS is_filled "
            "FROM newest LEFT JOIN filled USING (entity_id) ORDER BY hash(concat(entity_id, ?)), entity_id LIMIT ?",
            [end, sample_size],
        )
        rows = connection.execute(
            "SELECT chosen.is_filled, mart.* FROM read_parquet(?) AS mart JOIN chosen "  # noqa: S608 (a name of our own)
            # By content: should dbt swap the export just now, no row is taken for the one that was filled.
            f"ON mart.{mart.join_key} = chosen.entity_id AND hash(mart) = chosen.fingerprint",
            [str(mart.path(home))],
        )
        names = [column[0] for column in rows.description or []][1:]
        while part := rows.fetchmany(ROWS_AT_ONCE):
            yield [(dict(zip(names, row, strict=True)), is_filled) for is_filled, *row in part]


def entities_outside(home: Path, mart: Mart, entity_ids: Sequence[str]) -> list[str]:
    """Those of the entities of which the mart knows nothing."""
    rows = _query(
        f"SELECT unnest(?::VARCHAR[]) AS entity_id EXCEPT SELECT {mart.join_key} FROM read_parquet(?) ORDER BY ALL",  # noqa: S608
        [list(entity_ids), str(mart.path(home))],
    )
    return [entity_id for (entity_id,) in rows]


def _materialize_view(store: "FeatureStore", home: Path, mart: Mart, end: datetime, full: bool) -> int:
    filled = mart.filled_path(home)
    with _fingerprints(home, mart, end) as connection:
        if full or _is_empty(store, mart, connection):
            connection.execute("DELETE FROM filled")
        changed = "SELECT min(event_timestamp), count(*) FROM newest ANTI JOIN filled USING (entity_id, fingerprint)"
        start, n_rows = connection.execute(changed).fetchall()[0]
        if n_rows:
            # Feast reads an interval: from the oldest row that is new, and what lies behind it once more.
            store.materialize(start, end, feature_views=[mart.view])
            filled.parent.mkdir(parents=True, exist_ok=True)
            aside = filled.with_suffix(".new")
            connection.execute(f"COPY newest TO '{aside}' (FORMAT parquet)")
            aside.replace(filled)
    return int(n_rows)


def _is_empty(store: "FeatureStore", mart: Mart, connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the registry, or an online store that was deleted, knows nothing of what the last fill took."""
    view = store.get_feature_view(mart.view)
    taken = connection.execute("SELECT entity_id FROM filled LIMIT 1").fetchone()
    if taken is None or view.most_recent_end_time is None:
        return True
    feature = view.features[0].name
    answer = store.get_online_features([f"{mart.view}:{feature}"], [{mart.join_key: taken[0]}]).to_dict()
    return bool(answer[feature] == [None])


@contextmanager
def _fingerprints(home: Path, mart: Mart, end: datetime) -> Iterator[duckdb.DuckDBPyConnection]:
    """Each entity's newest row by moment and fingerprint: as it is in the mart (``newest``), and as ``filled``."""
    columns = (
        f"{mart.join_key} AS entity_id, max(event_timestamp) AS event_timestamp, "
        "arg_max(hash(mart), event_timestamp) AS fingerprint"
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"CREATE TABLE newest AS SELECT {columns} "  # noqa: S608 (names of our own)
            "FROM read_parquet(?) AS mart WHERE event_timestamp <= ? GROUP BY entity_id",
            [str(mart.path(home)), end],
        )
        connection.execute("CREATE TABLE filled AS FROM newest LIMIT 0")
        if mart.filled_path(home).exists():
            connection.execute("INSERT INTO filled FROM read_parquet(?)", [str(mart.filled_path(home))])
        yield connection


def lighten_feast() -> None:
    """Before Feast is imported: leave out what only others of its users need, which is most of its import.

    It rewrites its classes, so that they check types as they run. That also compiles, and in two threads at once Python
    3.11 may fail at it (``AST constructor recursion depth``). And it imports torch, a second and 200 MB, in case
    somebody wants features as tensors.
    """
    import typeguard

    typeguard.typechecked = lambda target: target  # type: ignore[assignment]
    late = ModuleType("feast.torch_wrapper")
    vars(late)["get_torch"] = lambda: import_module("torch")
    sys.modules.setdefault(late.__name__, late)


def _require(path: Path) -> Path:
    if not path.exists():
        raise FeatureStoreError(f"{path} does not exist: run `freshet transform` first")
    return path


def _query(statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(statement, values).fetchall()
