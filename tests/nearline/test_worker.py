"""The worker makes logged events visible, and no crash, replay or batch beside it changes what is true."""

import random
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import reduce
from uuid import uuid4

import pytest

from freshet import feature_store
from freshet.contract import Event, EventType
from nearline.offsets import WorkerLock
from nearline.session_features import UserState, fold, to_feature_row
from nearline.user_states import OnlineStoreError
from nearline.worker import CONSUMER

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def user():
    """The store is shared, its users are not."""
    return f"user-{uuid4()}"


def event(user, number, *, item=None, event_type="view", value=None):
    occurred_at = NOW + timedelta(seconds=number)
    return Event(
        event_id=f"{user}-{number}",
        event_type=event_type,
        user_id=user,
        item_id=item or f"i{number}",
        occurred_at=occurred_at,
        received_at=occurred_at,
        value=value,
        text="words",
    )


def folded(events):
    return reduce(fold, events, UserState(events[0].user_id))


def drain(worker):
    while worker.run_once():
        pass


def test_a_logged_event_becomes_visible(log, states, make_worker, user):
    events = [event(user, 1, event_type="rating", value=4.5), event(user, 2)]
    log.append(events)
    drain(make_worker())
    assert states.load([user]) == {user: folded(events)}


def test_an_unknown_user_has_an_empty_state(states, user):
    assert states.load([user]) == {user: UserState(user)}


def test_online_state_equals_the_fold_for_every_user(log, states, make_worker, user):
    events = [event(f"{user}-{number % 7}", number, item=f"i{number % 40}") for number in range(1_200)]
    random.Random(0).shuffle(events)
    for start in range(0, len(events), 100):
        log.append(events[start : start + 100])
        make_worker().run_once()
    drain(make_worker())
    expected = {name: folded([each for each in events if each.user_id == name]) for name in {e.user_id for e in events}}
    assert states.load(list(expected)) == expected


class CrashingAfterPush:
    """The real store, and a process that dies right after its push."""

    def __init__(self, states):
        self._states = states

    def load(self, user_ids):
        return self._states.load(user_ids)

    def save(self, changed):
        self._states.save(changed)
        raise SystemExit("killed")


def test_a_crash_between_push_and_commit_loses_and_doubles_nothing(log, states, offsets, make_worker, user):
    events = [event(user, number) for number in range(5)]
    log.append(events)
    with pytest.raises(SystemExit):
        make_worker(CrashingAfterPush(states)).run_once()
    assert offsets.load(CONSUMER) == 0
    drain(make_worker())
    assert states.load([user]) == {user: folded(events)}


def test_impressions_alone_flush_no_offset_until_a_moment_has_passed(log, offsets, make_worker, user, monkeypatch):
    shown = [event(user, number).model_copy(update={"event_type": EventType.IMPRESSION}) for number in range(3)]
    log.append(shown)
    worker = make_worker()
    assert worker.run_once() == 3
    assert worker.status().lag == 0
    assert offsets.load(CONSUMER) == 0
    monkeypatch.setattr("nearline.worker.COMMIT_SECONDS", 0.0)
    assert worker.run_once() == 0
    assert offsets.load(CONSUMER) == 3


class Unreachable:
    """A store that is away for the first calls."""

    def __init__(self, states, failures):
        self._states, self._failures = states, failures

    def load(self, user_ids):
        if self._failures:
            self._failures -= 1
            raise OnlineStoreError("away")
        return self._states.load(user_ids)

    def save(self, changed):
        self._states.save(changed)


def test_a_store_that_is_away_delays_and_loses_nothing(log, states, make_worker, user, caplog):
    worker = make_worker(Unreachable(states, failures=2))
    sequence = log.append([event(user, 1)])[-1].sequence
    worker.start()
    assert not worker.wait_until(sequence, 0.1)
    assert worker.status().last_error == "away"
    assert worker.wait_until(sequence, 10)
    assert states.load([user])[user].seen == {"i1"}
    assert [record.message for record in caplog.records].count("nearline push failed, will retry") == 1


def test_a_replay_from_the_start_pushes_nothing(log, states, offsets, make_worker, user, monkeypatch):
    log.append([event(user, number) for number in range(3)])
    drain(make_worker())
    before = states.load([user])
    offsets.commit(CONSUMER, 0)
    replaying = make_worker(CrashingAfterPush(states))  # would die if it pushed
    drain(replaying)
    assert states.load([user]) == before
    assert replaying.status().lag == 0


def test_an_appended_event_is_visible_within_milliseconds(log, states, make_worker, user):
    worker = make_worker()
    worker.start()
    assert worker.wait_until(log.append([event(user, 0)])[-1].sequence, 10)  # warm
    took = []
    for number in range(1, 31):
        started = time.perf_counter()
        assert worker.wait_until(log.append([event(user, number)])[-1].sequence, 10)
        took.append(time.perf_counter() - started)
        assert f"i{number}" in states.load([user])[user].seen
    assert sorted(took)[len(took) // 2] < 0.5  # usually 10 ms; a loaded machine must not fail the build


class Counting:
    """The real store, and how often it was written."""

    def __init__(self, states):
        self._states, self.n_saves = states, 0

    def load(self, user_ids):
        return self._states.load(user_ids)

    def save(self, changed):
        self._states.save(changed)
        self.n_saves += 1


def test_events_that_nobody_waits_for_are_folded_together(log, states, make_worker, user, monkeypatch):
    monkeypatch.setattr("nearline.worker.GATHER_SECONDS", 60.0)
    counting = Counting(states)
    worker = make_worker(counting)
    worker.start()
    assert worker.wait_until(log.append([event(user, 0)])[-1].sequence, 10)
    counting.n_saves = 0
    for number in range(1, 30):
        log.append([event(user, number)])
        worker.wake()
    assert worker.wait_until(log.append([event(user, 30)])[-1].sequence, 10)  # which ends the gathering
    worker.stop()
    assert 1 <= counting.n_saves <= 2
    assert states.load([user]) == {user: folded([event(user, number) for number in range(31)])}


def test_searches_and_impressions_only_move_the_position(log, states, make_worker, user):
    log.append([event(user, 1, event_type="impression"), event(user, 2, event_type="tag")])
    worker = make_worker()
    drain(worker)
    assert worker.status().lag == 0
    assert states.load([user]) == {user: UserState(user)}


def test_an_erasure_ends_a_user_and_no_replay_brings_them_back(log, states, offsets, make_worker, user):
    old, late, new = event(user, 1), event(user, 2), event(user, 30)
    late = late.model_copy(update={"received_at": NOW + timedelta(seconds=20)})
    erasure = event(user, 10, event_type="erasure")
    log.append([old])
    drain(make_worker())
    log.append([erasure, late, new])
    drain(make_worker())
    assert states.load([user]) == {user: folded([new])}
    offsets.commit(CONSUMER, 0)
    drain(make_worker())
    states.save([folded([old])])  # a batch of before
    assert states.load([user]) == {user: folded([new])}


def test_a_second_process_stands_by_and_takes_over(log, states, make_worker, tmp_path, user):
    first, second = make_worker(), make_worker()
    first.start()
    assert first.wait_until(log.append([event(user, 1)])[-1].sequence, 10)
    second.start()
    assert second.wait_until(log.last_sequence(), 10)
    assert second.status().is_standby
    assert not WorkerLock(tmp_path / "nearline.lock").acquire()
    first.stop()
    assert second.wait_until(log.append([event(user, 2)])[-1].sequence, 10)
    assert not second.status().is_standby
    assert states.load([user])[user].seen == {"i1", "i2"}


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_a_process_of_its_own_takes_the_work_from_whoever_has_it(log, states, make_worker, user):
    api, own, spare = make_worker(), make_worker(is_dedicated=True), make_worker(is_dedicated=True)
    api.start()
    assert api.wait_until(log.append([event(user, 1)])[-1].sequence, 10)
    assert not api.status().is_standby
    own.start()
    assert until(lambda: api.status().is_standby and not own.status().is_standby)
    spare.start()
    assert until(lambda: spare.status().is_standby)
    sequence = log.append([event(user, 2)])[-1].sequence
    assert api.wait_until(sequence, 10)
    assert spare.wait_until(sequence, 10)
    own.stop()
    assert until(lambda: not spare.status().is_standby)
    spare.stop()
    assert until(lambda: not api.status().is_standby)
    assert api.wait_until(log.append([event(user, 3)])[-1].sequence, 10)
    assert states.load([user])[user].seen == {"i1", "i2", "i3"}


def test_a_disk_that_takes_nothing_delays_and_loses_nothing(log, states, make_worker, tmp_path, user):
    with closing(sqlite3.connect(tmp_path / "offsets.db", isolation_level=None)) as offsets:
        full = "BEFORE INSERT ON offsets BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
        offsets.execute(f"CREATE TRIGGER full {full}")
        worker = make_worker()
        worker.start()
        log.append([event(user, 1)])
        deadline = time.monotonic() + 30
        while worker.status().last_error is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "disk is full" in worker.status().last_error
        offsets.execute("DROP TRIGGER full")
    assert worker.wait_until(log.append([event(user, 2)])[-1].sequence, 30)
    assert states.load([user])[user].seen == {"i1", "i2"}
    assert worker.status().is_running


def test_an_offset_beyond_a_younger_log_is_forgotten(log, states, offsets, make_worker, user):
    offsets.commit(CONSUMER, 10_000)
    worker = make_worker()
    sequence = log.append([event(user, 1)])[-1].sequence
    worker.start()
    deadline = time.monotonic() + 10
    while not states.load([user])[user].seen and time.monotonic() < deadline:
        time.sleep(0.01)
    assert states.load([user])[user].seen == {"i1"}
    assert worker.wait_until(sequence, 1)


def test_a_batch_that_knows_the_same_events_doubles_nothing(log, states, make_worker, feast_home, user, export):
    """Live events move to the lake, and their state comes back from the batch while newer ones are folded."""
    events = [event(user, number) for number in range(6)]
    log.append(events[:3])
    drain(make_worker())
    batch = to_feature_row(folded(events[:3]))
    export(feast_home, fct_user_recent_events=[batch])
    log.append(events[3:4])
    drain(make_worker())
    feature_store.materialize(feast_home, full=True)
    assert states.load([user]) == {user: folded(events[:4])}  # the older batch row did not win
    log.append(events[4:])
    drain(make_worker())
    assert states.load([user]) == {user: folded(events)}


def test_a_batch_that_brings_history_is_folded_on(log, states, make_worker, feast_home, user, export):
    history, live = [event(user, number) for number in range(3)], event(user, 10)
    export(feast_home, fct_user_recent_events=[to_feature_row(folded(history))])
    feature_store.materialize(feast_home, full=True)
    log.append([live])
    drain(make_worker())
    assert states.load([user]) == {user: folded([*history, live])}
