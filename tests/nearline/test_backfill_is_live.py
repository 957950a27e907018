"""Backfill = live: whatever arrives in whatever order, the worker's online rows are dbt's rows, feature by feature.

The real parts throughout: event log, worker, Feast, ingestion of the log, incremental dbt builds and fills in between.
"""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from freshet.contract import MAX_CLOCK_SKEW, Event
from freshet.dbt_project import run_dbt
from freshet.feature_store import MARTS, apply, materialize, open_store
from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from ingestion.ingest import ingest_live_events
from nearline.offsets import SqliteOffsets, WorkerLock
from nearline.session_features import UserState, from_feature_row
from nearline.user_states import FeastUserStates
from nearline.verification import verify_features
from nearline.worker import NearlineWorker

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
BUILT = [f"+{name}" for name in ("fct_ingestion_counts", *(mart.name for mart in MARTS))]

# One user does more than a state holds; few items and few minutes make ties and repetitions.
happenings = st.lists(
    st.fixed_dictionaries(
        {
            "event_id": st.integers(0, 400),
            "user_id": st.sampled_from(["ann", "ann", "ann", "bob", "zoë"]),
            "event_type": st.sampled_from(["view", "click", "rating", "purchase", "hide", "search", "impression"]),
            "item_id": st.sampled_from([f"i{n}" for n in range(20)]),
            "value": st.sampled_from([None, 1.0, 4.5]),
            "minutes_late": st.sampled_from([0, 0, 0, 1, 90, 60 * 24 * 3]),
            "is_ahead": st.booleans(),
        }
    ),
    min_size=150,
    max_size=400,
)


def sent(happenings):
    """One event a minute as the API receives it: on time, late, or from a clock that is ahead; some ids twice."""
    for minute, happening in enumerate(happenings):
        received_at = NOON + timedelta(minutes=minute)
        ahead = MAX_CLOCK_SKEW if happening["is_ahead"] and not happening["minutes_late"] else timedelta(0)
        yield Event(
            event_id=f"e{happening['event_id']}",
            event_type=happening["event_type"],
            user_id=happening["user_id"],
            item_id=happening["item_id"],
            value=happening["value"],
            text="words",
            occurred_at=received_at - timedelta(minutes=happening["minutes_late"]) + ahead,
            received_at=received_at,
        )


class Home:
    """An empty home, its worker, and its batch."""

    def __init__(self, folder):
        self.settings = Settings(home=folder)
        self.log = SqliteEventLog(self.settings.log_path)
        self.offsets = SqliteOffsets(folder / "log" / "offsets.db")

    def build(self, until):
        """The batch's round: close the log, build the marts upon what was built before, and set Feast up."""
        ingest_live_events(self.settings, until)
        run_dbt(self.settings.home, ["run", "--quiet", "--select", *BUILT])
        apply(self.settings.home)

    def fold(self):
        lock = WorkerLock(self.settings.home / "log" / "nearline.lock")
        worker = NearlineWorker(self.log, self.states(), self.offsets, lock)
        while worker.run_once():
            pass

    def states(self):
        store = open_store(self.settings.home)
        return FeastUserStates(lambda: store)

    def online(self):
        return self.states().load(["ann", "bob", "zoë"])

    def mart(self):
        rows = pq.read_table(MARTS[0].path(self.settings.home)).to_pylist()
        unknown = {user_id: UserState(user_id) for user_id in ("ann", "bob", "zoë")}
        return unknown | {row["user_id"]: from_feature_row(row["user_id"], row) for row in rows}

    def close(self):
        self.log.close()
        self.offsets.close()


@settings(max_examples=3, phases=[Phase.explicit, Phase.generate])  # each is two builds: to shrink one would take hours
@given(happenings, st.integers(20, 130), st.sampled_from(["fold", "fill", "both", "neither"]))
def test_online_is_what_dbt_says_after_any_replay(happenings, first_close, between):
    events = list(sent(happenings))
    with TemporaryDirectory() as folder, closing(Home(Path(folder))) as home:
        home.log.append(events[:first_close])
        # The batch closes in the middle of what has arrived, before or after the worker has come to it.
        home.build(until=events[first_close // 2].received_at)
        if between in ("fold", "both"):
            home.fold()
        if between in ("fill", "both"):
            materialize(home.settings.home)
        home.log.append(events[first_close:])
        home.fold()
        home.build(until=events[-1].received_at + timedelta(days=1))
        assert home.online() == home.mart()  # the worker alone, or on what the first fill brought
        materialize(home.settings.home)
        assert home.online() == home.mart()
        assert [report.mismatches for report in verify_features(home.settings)] == [()] * len(MARTS)
