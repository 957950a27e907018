"""The nearline worker: the event log's tail → users' states → Feast's online store, within milliseconds.

Per round: read, load, fold, push, then commit the offset, in that order. A crash at any point repeats work and loses
none, because folding an event twice changes nothing. Batch materialisation may run beside it in another process.
"""

import logging
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import Final

from freshet.contract import Event, EventType, is_erased
from ingestion.event_log import EventLog
from nearline.offsets import SqliteOffsets, WorkerLock
from nearline.session_features import fold, is_folded
from nearline.tracing import NO_TRACES, Traces
from nearline.user_states import OnlineStoreError, UserStates

CONSUMER: Final = "nearline"
BATCH_SIZE: Final = 500
POLL_SECONDS: Final = 0.05
"""How soon events that another process appended are noticed; our own process wakes the worker at once."""
DEDICATED_POLL_SECONDS: Final = 0.01
"""The same for a process of its own, which nobody wakes and whose interpreter nobody else needs."""
GATHER_SECONDS: Final = 0.005
"""How long events are let come together for one round, which costs one as much as a few, where nobody waits for it."""
WAITED_FOR_SECONDS: Final = 0.005
"""How soon a process that stands by hears how far the worker has come, while somebody waits for it."""
RETRY_SECONDS: Final = 0.5
COMMIT_SECONDS: Final = 1.0
"""How soon processes that stand by hear how far the worker has come, where it passed impressions alone."""
REWIND: Final = 1_000
"""Events folded again at every start: a power cut may cost the store its last moments, but not the offset."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerStatus:
    """What an operator wants to know about the worker."""

    position: int
    lag: int
    is_running: bool
    is_standby: bool
    last_error: str | None


class NearlineWorker:
    """Tails the log in one thread. Where another process is already the worker it stands by and takes over.

    A process that does nothing else goes first: it holds ``dedicated``, and whoever sees that gives up the work.
    """

    def __init__(
        self,
        log: EventLog,
        states: UserStates,
        offsets: SqliteOffsets,
        lock: WorkerLock,
        traces: Traces = NO_TRACES,
        dedicated: WorkerLock | None = None,
        *,
        is_dedicated: bool = False,
    ) -> None:
        """All parts are the caller's, who closes them after ``stop``."""
        self._log, self._states, self._offsets, self._lock, self._traces = log, states, offsets, lock, traces
        self._dedicated, self._is_dedicated = dedicated, is_dedicated
        self._poll_seconds = DEDICATED_POLL_SECONDS if is_dedicated else POLL_SECONDS
        self._n_waiting = 0
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._stopping = threading.Event()
        self._advanced = threading.Condition()
        self._position = self._committed = offsets.load(CONSUMER)
        self._committed_at = time.monotonic()
        self._is_standby = False
        self._last_error: str | None = None
        self._thread = threading.Thread(target=self._run, name="nearline-worker", daemon=True)

    def start(self) -> None:
        """Begin to tail the log."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round at hand and end; what is left in the log is folded after the next start."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._lock.release()
        if self._dedicated is not None:
            self._dedicated.release()

    def wake(self) -> None:
        """Something was appended: look now instead of at the next poll."""
        self._wake.set()

    def wait_until(self, sequence: int, timeout: float) -> bool:
        """Wait until every event up to ``sequence`` is visible; false when ``timeout`` seconds were not enough."""
        if self._position >= sequence:
            return True
        with self._advanced:
            self._n_waiting += 1
            self._hurry.set()
            self.wake()
            try:
                return self._advanced.wait_for(lambda: self._position >= sequence, timeout)
            finally:
                self._n_waiting -= 1

    def status(self) -> WorkerStatus:
        """Where the worker is and how it fares."""
        lag = max(0, self._log.last_sequence() - self._position)
        return WorkerStatus(self._position, lag, self._thread.is_alive(), self._is_standby, self._last_error)

    def run_once(self) -> int:
        """One round; returns how far it came. Raises OnlineStoreError or sqlite3.Error: do it again."""
        began = self._position
        events, newest = self._log.tail(began, BATCH_SIZE)
        if newest == began:
            self._commit(at_once=False)
            return 0
        told = [event for _, event in events if is_folded(event) or event.event_type is EventType.ERASURE]
        if told:
            with self._traces.fold(began, newest):
                self._apply(told)
        self._advance(newest)  # visible from now on, whether or not the offset survives
        self._commit(at_once=bool(events))
        return newest - began

    def _commit(self, *, at_once: bool) -> None:
        """Keep the position. Impressions alone are not worth a flush of the disk: after a crash they come once more."""
        is_due = at_once or time.monotonic() - self._committed_at > COMMIT_SECONDS
        if is_due and self._committed != self._position:
            self._offsets.commit(CONSUMER, self._position)
            self._committed, self._committed_at = self._position, time.monotonic()

    def _apply(self, events: list[Event]) -> None:
        if not events:
            return
        user_ids = sorted({event.user_id for event in events})
        erased = self._log.erasures(user_ids)
        if erased:
            self._states.forget(erased)
        known = self._states.load(user_ids)
        folded = dict(known)
        for event in events:
            if not is_erased(event, erased.get(event.user_id)):
                folded[event.user_id] = fold(folded[event.user_id], event)
        changed = [state for user_id, state in folded.items() if state is not known[user_id]]
        if changed:
            with self._traces.span("push features", {"freshet.n_users": len(changed)}):
                self._states.save(changed)

    def _advance(self, position: int) -> None:
        with self._advanced:
            self._position = position
            self._advanced.notify_all()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            n_found = self._round()
            if n_found >= BATCH_SIZE:
                continue
            if not n_found:
                is_waited_for = self._is_standby and self._n_waiting
                self._wake.wait(WAITED_FOR_SECONDS if is_waited_for else self._poll_seconds)
            if not self._n_waiting:
                self._hurry.wait(GATHER_SECONDS)
            self._hurry.clear()

    def _goes_first(self) -> bool:
        """No other process wants to do this alone."""
        if self._dedicated is None:
            return True
        return self._dedicated.acquire() if self._is_dedicated else not self._dedicated.is_taken()

    def _is_the_worker(self) -> bool:
        if not self._goes_first():
            self._lock.release()
            acquired = False
        elif not self._is_standby and self._lock.is_held:
            return True
        else:
            acquired = self._lock.acquire()
        if acquired:
            self._take_over()
        elif not self._is_standby:
            logger.info("another process is the nearline worker of this home: standing by")
        self._is_standby = not acquired
        return acquired

    def _take_over(self) -> None:
        position, newest = self._offsets.load(CONSUMER), self._log.last_sequence()
        if position > newest:
            logger.warning("the event log is younger than the worker's offset: replaying it from the start")
            position = 0
        self._advance(max(0, position - REWIND))

    def _round(self) -> int:
        """One round that survives a failing store, log or disk: nothing is committed, the same events come again."""
        try:
            n_found = self._work()
        except (OnlineStoreError, sqlite3.Error) as error:
            if self._last_error is None:
                logger.warning("nearline push failed, will retry", extra={"error": str(error)})
            self._last_error = str(error)
            self._stopping.wait(RETRY_SECONDS)
            return 0
        self._last_error = None
        return n_found

    def _work(self) -> int:
        if self._is_the_worker():
            return self.run_once()
        self._advance(self._offsets.load(CONSUMER))
        return 0
