"""Requests and events go on while a batch, in a process of its own, registers the definitions and fills the store."""

import multiprocessing
import shutil
import sys
import threading
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.contract import Event
from freshet.feature_store import MARTS, apply, materialize, open_store
from ingestion.event_log import SqliteEventLog
from nearline.offsets import SqliteOffsets, WorkerLock
from nearline.session_features import UserState, fold, from_feature_row, merge, to_us
from nearline.user_states import FeastUserStates
from nearline.worker import NearlineWorker

RECENT = MARTS[0]
N_USERS, N_ROUNDS = 1_500, 2
LONG_AGO, NOW = datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 1, 5, 20, tzinfo=UTC)


def batch_row(number, n_events):
    """What the marts know of a user: some old events. In every round of the batch there is one more of them."""
    ids = [f"batch-{number}-{n}" for n in range(n_events)]
    return {
        "user_id": f"u{number}",
        "event_timestamp": LONG_AGO + timedelta(seconds=n_events),
        "recent_event_ids": ids,
        "recent_item_ids": [f"i{n}" for n in range(n_events)],
        "recent_event_types": ["view"] * n_events,
        "recent_values": [None] * n_events,
        "recent_occurred_at": [to_us(LONG_AGO + timedelta(seconds=n)) for n in range(n_events)],
        "seen_item_ids": sorted(f"i{n}" for n in range(n_events)),
    }


def export(home, n_events):
    """The mart as dbt swaps it into place: the small world, and many others with this many events each."""
    path = RECENT.path(home)
    schema = pq.read_schema(path)
    kept = [row for row in pq.read_table(path).to_pylist() if not row["user_id"].startswith("u")]
    rows = [*kept, *(batch_row(number, n_events) for number in range(N_USERS))]
    pq.write_table(pa.Table.from_pylist(rows, schema), path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def run_batches(home, is_ready, may_end):
    """What `refresh_features` does, again and again, with marts that know more each time."""
    for n_events in range(2, 2 + N_ROUNDS):
        export(home, n_events)
        apply(home)
        is_ready.set()
        materialize(home)
    may_end.wait(60)
    materialize(home, full=True)


@pytest.fixture
def home(built_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(built_home, home)
    export(home, n_events=1)
    apply(home)
    materialize(home)
    return home


class Load:
    """Readers and a client that sends events, until they are stopped; whatever goes wrong is kept."""

    def __init__(self, home):
        self.home, self.errors, self.stale, self.n_reads, self.sent = home, [], [], 0, []
        self.log = SqliteEventLog(home / "log" / "events.db")
        self.offsets = SqliteOffsets(home / "log" / "offsets.db")
        self.worker = NearlineWorker(self.log, self.states(), self.offsets, WorkerLock(home / "log" / "nearline.lock"))
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=target) for target in (self.read, self.read, self.send)]

    def states(self, refreshes=False):
        store = open_store(self.home)

        def get():
            if refreshes:
                store.refresh_registry()  # the worst case: every read sees the state that the views are in just now
            return store

        return FeastUserStates(get)

    def read(self):
        """Nobody may ever see a user know less than before."""
        states, known = self.states(refreshes=True), {}
        while not self.is_over.is_set():
            try:
                found = states.load([f"u{(self.n_reads * 7 + n) % 40}" for n in range(5)])
            except Exception as error:
                self.errors.append(error)
                continue
            for user_id, state in found.items():
                before = known.get(user_id, UserState(user_id))
                if merge(state, before) != state:
                    self.stale.append((before, state))
                known[user_id] = state
            self.n_reads += 1

    def send(self):
        while not self.is_over.is_set():
            event = live_event(len(self.sent))
            sequence = self.log.append([event])[-1].sequence
            self.sent.append(event)
            if not self.worker.wait_until(sequence, timeout=20):
                self.errors.append(f"{event.event_id} was not visible after 20 s")

    def __enter__(self):
        self.worker.start()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        self.worker.stop()
        self.log.close()
        self.offsets.close()


def live_event(number):
    """One after another from 40 users; every third comes from a clock that is ahead, so that many share a moment."""
    moment = NOW + timedelta(milliseconds=number)
    return Event(
        event_id=f"live-{number}",
        event_type="view",
        user_id=f"u{number % 40}",
        item_id=f"x{number % 300}",
        occurred_at=NOW + timedelta(minutes=3) if number % 3 == 0 else moment,
        received_at=moment,
    )


def test_a_batch_beside_reads_and_pushes_fails_none_and_takes_nothing_back(home):
    processes = multiprocessing.get_context("spawn")
    is_ready, may_end = processes.Event(), processes.Event()
    batch = processes.Process(target=run_batches, args=(home, is_ready, may_end))
    batch.start()
    assert is_ready.wait(timeout=120)  # it has Feast to import
    with Load(home) as load:
        may_end.set()
        batch.join(timeout=300)
    sys.stdout.write(f"{load.n_reads} reads and {len(load.sent)} pushes beside {N_ROUNDS + 1} batches\n")  # pytest -rP
    assert batch.exitcode == 0
    assert load.errors == []
    assert load.stale == []
    assert min(load.n_reads, len(load.sent)) > 20
    assert load.states().load([f"u{n}" for n in range(40)]) == {f"u{n}": expected(n, load.sent) for n in range(40)}


def expected(number, sent):
    """What the last batch knew of the user, and all that was sent since."""
    row = batch_row(number, 1 + N_ROUNDS)
    state = from_feature_row(row["user_id"], row)
    for event in sent:
        state = fold(state, event) if event.user_id == state.user_id else state
    return state
