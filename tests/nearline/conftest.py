"""A real Feast on SQLite, set up once; each test brings its own users."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet import feature_store
from ingestion.event_log import SqliteEventLog
from nearline.offsets import SqliteOffsets, WorkerLock
from nearline.user_states import FeastUserStates
from nearline.worker import NearlineWorker

MOMENT = pa.timestamp("us", tz="UTC")
COUNTS = [(name, pa.int64()) for name in ("n_interactions_1d", "n_interactions_7d", "n_interactions_30d")]
EXPORTS = {
    "fct_user_recent_events": [
        ("user_id", pa.string()),
        ("event_timestamp", MOMENT),
        ("recent_event_ids", pa.list_(pa.string())),
        ("recent_item_ids", pa.list_(pa.string())),
        ("recent_event_types", pa.list_(pa.string())),
        ("recent_values", pa.list_(pa.float64())),
        ("recent_occurred_at", pa.list_(pa.int64())),
        ("seen_item_ids", pa.list_(pa.string())),
    ],
    "fct_user_activity_daily": [
        ("user_id", pa.string()),
        ("event_timestamp", MOMENT),
        *COUNTS,
        ("n_interactions_total", pa.int64()),
        ("n_active_days", pa.int64()),
        ("last_interaction_at", MOMENT),
    ],
    "fct_item_popularity_daily": [
        ("item_id", pa.string()),
        ("event_timestamp", MOMENT),
        *COUNTS,
        ("n_interactions_total", pa.int64()),
    ],
}
"""What dbt exports, as far as Feast reads it."""


def write_exports(home, **rows_by_mart):
    """Write the exports, with these rows, as dbt would."""
    (home / "features").mkdir(parents=True, exist_ok=True)
    for mart, columns in EXPORTS.items():
        table = pa.Table.from_pylist(rows_by_mart.get(mart, []), schema=pa.schema(columns))
        pq.write_table(table, home / "features" / f"{mart}.parquet")


@pytest.fixture(scope="session")
def feast_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("feast_home")
    write_exports(home)
    feature_store.apply(home)
    return home


@pytest.fixture
def export():
    """Write the exports, with these rows, as dbt would."""
    return write_exports


@pytest.fixture(scope="session")
def store(feast_home):
    return feature_store.open_store(feast_home)


@pytest.fixture
def states(store):
    return FeastUserStates(lambda: store)


@pytest.fixture
def log(tmp_path):
    log = SqliteEventLog(tmp_path / "events.db")
    yield log
    log.close()


@pytest.fixture
def offsets(tmp_path):
    offsets = SqliteOffsets(tmp_path / "offsets.db")
    yield offsets
    offsets.close()


@pytest.fixture
def make_worker(log, states, offsets, tmp_path):
    """Workers over the same log, store and offsets; each call is a process that starts anew."""
    started = []

    def make(states_=states, *, is_dedicated=False):
        locks = WorkerLock(tmp_path / "nearline.lock"), WorkerLock(tmp_path / "dedicated.lock")
        worker = NearlineWorker(log, states_, offsets, locks[0], dedicated=locks[1], is_dedicated=is_dedicated)
        started.append(worker)
        return worker

    yield make
    for worker in started:
        worker.stop()
