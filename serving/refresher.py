"""Keeps catalogue and popularity fresh in the background, so that a request reads neither."""

import logging
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from freshet.contract import INTERACTION_TYPES, is_negative
from ingestion.event_log import EventLog
from nearline.user_states import OnlineStoreError
from serving.catalogue import CatalogueFile
from serving.current_snapshot import CurrentSnapshot
from serving.long_lived import made_to_stay
from serving.metrics import Metrics
from serving.online_features import NO_POPULARITY, OnlineFeatures, Popularity

REFRESH_SECONDS: Final = 120.0
"""How soon it is noticed that an item's time has come, or that the online store cannot be read any more. Reading the
counts of all items takes the interpreter from answers, so it is not done more often than they change."""
LOG_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.25
_LOOK_SECONDS: Final = 1.0
_MAX_SHARE: Final = 0.02
"""Of one core that refreshing may take: a large catalogue is refreshed less often."""
_LOG_EVENTS_PER_REFRESH: Final = 5_000

logger = logging.getLogger(__name__)


class CatalogueRefresher:
    """Reads the exported catalogue and Feast's popularity in one thread, and puts them into the snapshot."""

    def __init__(
        self,
        file: CatalogueFile,
        filled_path: Path,
        features: OnlineFeatures,
        log: EventLog,
        current: CurrentSnapshot,
        metrics: Metrics,
    ) -> None:
        """All parts are the caller's; ``filled_path`` is replaced whenever a batch has filled the online store."""
        self._file, self._features, self._current, self._metrics = file, features, current, metrics
        self._filled_path = filled_path
        self._popularity = NO_POPULARITY
        self._log_counts = LogCounts(log)
        self._stopping, self._refreshed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalogue-refresher", daemon=True)
        self.fault: str | None = "popularity has not been read yet"

    def start(self) -> None:
        """Begin to refresh."""
        self._thread.start()

    def wait_refreshed(self, timeout: float) -> bool:
        """Wait until everything could be read once; false when that takes longer."""
        return self._refreshed.wait(timeout)

    def stop(self) -> None:
        """End after the refresh at hand."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def refresh(self) -> None:
        """One look at everything; what cannot be read keeps its last value and is named as missing."""
        with made_to_stay():
            catalogue = self._file.read()
            self._current.set_catalogue(catalogue, self._popularity, self._missing())
        try:
            self._popularity = self._features.popularity(self._current.known_item_ids())
            self.fault = None
        except OnlineStoreError as error:
            self.fault = str(error)
        if not self._popularity.counts:
            self._count_log()
        self._current.set_catalogue(catalogue, self._popularity, self._missing())
        self._metrics.items.set(len(self._current.snapshot.catalogue))

    def _count_log(self) -> None:
        try:
            self._popularity = self._log_counts.read()
        except sqlite3.Error as error:
            self.fault = f"the event log cannot be read: {error}"

    def _missing(self) -> frozenset[str]:
        return frozenset({"popularity"}) if self.fault else frozenset()

    def _run(self) -> None:
        while not self._stopping.is_set():
            started, filled = time.thread_time(), self._filled()
            self.refresh()
            if not self.fault:
                self._refreshed.set()
            spent = time.thread_time() - started
            # Without a batch there is only the log, which has news every moment.
            pause = REFRESH_SECONDS if filled else LOG_SECONDS
            self._rest(_RETRY_SECONDS if self.fault else max(pause, spent / _MAX_SHARE), filled)

    def _filled(self) -> int:
        """When a batch last filled the online store; 0 before the first."""
        try:
            return self._filled_path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _rest(self, seconds: float, filled: int) -> None:
        """Wait, but not while a batch has already replaced the catalogue or the counts."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._file.has_changed() and self._filled() == filled:
            if self._stopping.wait(min(seconds, _LOOK_SECONDS)):
                return


class LogCounts:
    """Counts items in the live log: the popularity of a world that has no batch yet."""

    def __init__(self, log: EventLog) -> None:
        """Nothing is read until it is needed."""
        self._log = log
        self._position = 0
        self._counts: Counter[str] = Counter()

    def read(self) -> Popularity:
        """Everything counted so far; a long log is read over several calls."""
        for sequence, event in self._log.read(self._position, _LOG_EVENTS_PER_REFRESH):
            self._position = sequence
            is_positive = event.event_type in INTERACTION_TYPES and not is_negative(event.event_type, event.value)
            if event.item_id and is_positive:
                self._counts[event.item_id] += 1
        return Popularity({item_id: (0, 0, 0, count) for item_id, count in self._counts.items()}, None)
