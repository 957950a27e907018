"""Verification on a real home: the small world in the marts and in Feast, live events in the log and the worker."""

import math
import shutil
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.contract import Event
from freshet.feature_store import MARTS, FeatureStoreError, apply, materialize, open_store
from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from nearline.offsets import SqliteOffsets, WorkerLock
from nearline.online_store import replace_rows
from nearline.user_states import FeastUserStates
from nearline.verification import verify_features
from nearline.worker import CONSUMER, NearlineWorker

NOW = datetime(2025, 1, 5, 20, tzinfo=UTC)
RECENT, ACTIVITY, POPULARITY = MARTS
WRONG_STATE = {
    "event_timestamp": NOW,
    "recent_event_ids": ["wrong"],
    "recent_item_ids": ["i1"],
    "recent_event_types": ["view"],
    "recent_values": [math.nan],
    "recent_occurred_at": [1],
    "seen_item_ids": ["i1", "i2", "i3", "i4", "i5"],
}


class World:
    """A home of one's own, with its log and a worker that does a round when told so."""

    def __init__(self, home):
        self.settings = Settings(home=home, verify_max_mismatch_share=1)
        self.store = open_store(home)
        self.log = SqliteEventLog(self.settings.log_path)
        self.offsets = SqliteOffsets(home / "log" / "offsets.db")
        self.states = FeastUserStates(lambda: self.store)
        lock = WorkerLock(home / "log" / "nearline.lock")
        self.worker = NearlineWorker(self.log, self.states, self.offsets, lock)

    def happen(self, user_id, *numbers):
        self.log.append([event(user_id, number) for number in numbers])

    def fold(self):
        while self.worker.run_once():
            pass

    def verify(self, **options):
        return {report.mart: report for report in verify_features(self.settings, **options)}

    def spoil(self, mart, entity_id, row):
        replace_rows(self.store, mart.view, mart.join_key, {entity_id: row})

    def close(self):
        self.log.close()
        self.offsets.close()


@pytest.fixture
def world(filled_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(filled_home, home)
    apply(home)  # the registry names the exports of the home it was applied for
    world = World(home)
    yield world
    world.close()


def event(user_id, number):
    moment = NOW + timedelta(seconds=number)
    return Event(
        event_id=f"live-{user_id}-{number}",
        event_type="view",
        user_id=user_id,
        item_id=f"x{number}",
        occurred_at=moment,
        received_at=moment,
    )


def test_every_row_of_every_view_is_compared(world):
    reports = world.verify()
    n_items = len(pq.read_table(POPULARITY.path(world.settings.home))["item_id"].unique())
    assert {mart: report.n_checked for mart, report in reports.items()} == {RECENT: 3, ACTIVITY: 3, POPULARITY: n_items}
    assert all(report.mismatches == () and report.n_behind == 0 for report in reports.values())


def test_a_sample_is_as_large_as_asked_for_and_the_same_in_a_rerun(world):
    world.spoil(POPULARITY, "i1", popularity(n_interactions_total=99))
    found = [world.verify(sample_size=1, is_repairing=False) for _ in range(2)]
    assert [{mart: report.n_checked for mart, report in reports.items()} for reports in found] == [
        {RECENT: 1, ACTIVITY: 1, POPULARITY: 1}
    ] * 2
    assert found[0] == found[1]


def test_a_user_who_is_active_is_as_the_mart_with_every_live_event_folded_in(world):
    world.happen("ann", 1, 2)
    world.happen("new", 3)
    world.fold()
    assert world.states.load(["ann"])["ann"].recent[-1].event_id == "live-ann-2"
    report = world.verify()[RECENT]
    assert (report.n_checked, report.mismatches) == (4, ())  # three of the mart, and the new one


def test_events_that_the_worker_has_not_come_to_are_no_mismatch(world):
    world.happen("ann", 1)
    world.fold()
    world.happen("ann", 2)
    world.happen("new", 3)
    assert world.verify()[RECENT].mismatches == ()


def test_an_event_that_the_worker_lost_is_found_and_brought_back(world):
    world.happen("ann", 1)
    world.happen("new", 2)
    world.offsets.commit(CONSUMER, world.log.last_sequence())  # it says so, but nothing was pushed
    report = world.verify()[RECENT]
    assert [mismatch.entity_id for mismatch in report.mismatches] == ["ann", "new"]
    assert report.n_repaired == 2
    assert world.states.load(["ann"])["ann"].recent[-1].event_id == "live-ann-1"
    assert world.verify()[RECENT].mismatches == ()


def test_mismatches_are_counted_by_feature(world):
    world.spoil(RECENT, "ann", WRONG_STATE)
    world.spoil(POPULARITY, "i1", popularity(n_interactions_total=99))
    reports = world.verify(is_repairing=False)
    assert reports[RECENT].by_feature == {
        "recent_event_ids": 1,
        "recent_item_ids": 1,
        "recent_event_types": 1,
        "recent_values": 1,
        "recent_occurred_at": 1,
        "event_timestamp": 1,
    }  # of what was seen, by luck, nothing is wrong
    assert reports[POPULARITY].by_feature == {"n_interactions_total": 1}
    assert reports[ACTIVITY].by_feature == {}


def test_wrong_rows_are_repaired_and_what_happened_since_is_kept(world):
    world.happen("ann", 1)
    world.fold()
    right = world.states.load(["ann"])
    world.spoil(RECENT, "ann", WRONG_STATE)
    world.spoil(POPULARITY, "i1", popularity(n_interactions_total=99))
    world.happen("ann", 2)  # not folded yet: it may be there after the repair, or not
    reports = world.verify()
    assert (reports[RECENT].n_repaired, reports[POPULARITY].n_repaired) == (1, 1)
    world.fold()
    assert world.states.load(["ann"])["ann"].recent[:-1] == right["ann"].recent
    assert all(report.mismatches == () for report in world.verify().values())


def test_more_mismatches_than_allowed_fail_loudly_after_the_repair(world):
    world.spoil(RECENT, "ann", WRONG_STATE)
    strict = world.settings.model_copy(update={"verify_max_mismatch_share": 0.1})
    with pytest.raises(
        FeatureStoreError,
        match=r"user_recent_events: 1 of 3 online rows differ from fct_user_recent_events \(.*recent_event_ids 1.*\), "
        r"such as user_id 'ann'; 1 repaired.*freshet features verify --all --repair",
    ):
        verify_features(strict)
    assert all(report.mismatches == () for report in verify_features(strict))


def test_rows_that_the_mart_has_changed_since_the_last_fill_wait_for_the_next(world):
    path = ACTIVITY.path(world.settings.home)
    rows = pq.read_table(path).to_pylist()
    changed = [{**row, "n_active_days": row["n_active_days"] + 1} if row["user_id"] == "zoë" else row for row in rows]
    pq.write_table(pa.Table.from_pylist(changed, pq.read_schema(path)), path)
    report = world.verify()[ACTIVITY]
    assert (report.n_checked, report.n_behind, report.mismatches) == (2, 1, ())
    materialize(world.settings.home)
    assert world.verify()[ACTIVITY].n_checked == 3


def test_a_home_that_was_never_filled_says_what_to_do(built_home, tmp_path):
    shutil.copytree(built_home, tmp_path / "home")
    apply(tmp_path / "home")
    with pytest.raises(FeatureStoreError, match="user_recent_events has never been filled: run `freshet features`"):
        verify_features(Settings(home=tmp_path / "home"))


def popularity(**wrong):
    """What the mart says of i1 at the end of the data, but for what is given."""
    counts = {"n_interactions_1d": 1, "n_interactions_7d": 3, "n_interactions_30d": 3, "n_interactions_total": 3}
    return {"event_timestamp": datetime(2025, 1, 6, tzinfo=UTC), **counts, **wrong}
