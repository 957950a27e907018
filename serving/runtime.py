"""Everything long-lived behind the API: opened once in the lifespan, closed in the opposite order."""

import logging
import threading
import time
from typing import Final

from anyio import CapacityLimiter

from freshet.feature_store import POPULARITY_MART
from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from ingestion.live_items import SqliteLiveItems
from ingestion.live_rejects import SqliteRejects
from nearline.feast_handle import FeastHandle
from nearline.offsets import SqliteOffsets, WorkerLock
from nearline.tracing import open_traces
from nearline.user_states import FeastUserStates, OnlineStoreError
from nearline.worker import NearlineWorker
from serving.api_keys import SqliteApiKeys
from serving.catalogue import CatalogueFile
from serving.champion import ChampionWatcher
from serving.current_snapshot import CurrentSnapshot
from serving.erasure import Erasure
from serving.event_gateway import EventGateway
from serving.impressions import ImpressionLogger
from serving.items import Items
from serving.live_items import LiveItems
from serving.metrics import Metrics
from serving.online_features import FeastOnlineFeatures
from serving.profiles import Profiles
from serving.recommender import Recommender
from serving.refresher import CatalogueRefresher
from serving.scenarios import Scenarios
from serving.schemas import Readiness
from serving.search import Search
from serving.shown import ShownLists
from serving.similar import SimilarItemsFinder
from serving.text_tower import TextTowers

EVENT_THREADS: Final = 16
"""Requests that may write to the event log, or wait for it, at once. Answers have threads of their own, so that a log
that stands still takes none from them."""
_RECALL_SECONDS: Final = 15.0
_SETTLE_SECONDS: Final = 8.0
_REOPEN_SECONDS: Final = 2.0
_LARGE_LAG: Final = 10_000
"""Events waiting for the worker beyond which answers are no longer fresh."""

logger = logging.getLogger(__name__)


class Runtime:
    """The parts of one application and how they hang together."""

    def __init__(self, settings: Settings, metrics: Metrics, scenarios: Scenarios) -> None:
        """Opens the files that must be there; everything slow happens in threads after ``start``."""
        self.metrics = metrics
        self.current = CurrentSnapshot([scenario.rules for scenario in scenarios.values()])
        self._log = SqliteEventLog(settings.log_path)
        self._rejects = SqliteRejects(settings.live_rejects_path)
        self._items = SqliteLiveItems(settings.live_items_path)
        self.keys = SqliteApiKeys(settings.keys_path) if settings.api_auth == "keys" else None
        self._offsets = SqliteOffsets(settings.offsets_path)
        locks = WorkerLock(settings.worker_lock_path), WorkerLock(settings.dedicated_lock_path)
        self._store = FeastHandle(settings.home)
        self._traces = traces = open_traces(str(settings.otlp_endpoint) if settings.otlp_endpoint else None)
        states = FeastUserStates(self._store.get)
        self.worker = NearlineWorker(self._log, states, self._offsets, locks[0], traces, dedicated=locks[1])
        self.erasure = Erasure(self._log, states, self.worker.wake)
        self._features = FeastOnlineFeatures(self._store.get)
        self._live_items = LiveItems(self._items, self.current)
        self._watcher = ChampionWatcher(
            settings.tracking_uri,
            settings.models_dir,
            settings.champion_poll_seconds,
            TextTowers(settings.models_dir / "vectors"),
            self._live_items.serve,
            metrics,
        )
        catalogue = CatalogueFile(settings.features_dir / "dim_items.parquet")
        filled = POPULARITY_MART.filled_path(settings.home)
        self._refresher = CatalogueRefresher(catalogue, filled, self._features, self._log, self.current, metrics)
        self._impressions = ImpressionLogger(self._log, metrics)
        self.event_threads = CapacityLimiter(EVENT_THREADS)
        self._stopping, self._tried_to_open = threading.Event(), threading.Event()
        self._opener = threading.Thread(target=self._open_stores, name="feast-opener", daemon=True)
        self._store_fault: str | None = "Feast is being opened"
        self.gateway = EventGateway(self._log, self._rejects, metrics, self.worker.wake, traces)
        self.recommender = Recommender(
            self._features,
            self.current,
            self._impressions,
            metrics,
            self._log,
            self._wait_until,
            lambda: self._watcher.registry_fault,
            scenarios,
            traces,
        )
        self.shown = ShownLists(self._log, self.current)
        self.search = Search(self.recommender)
        self.profiles = Profiles(self._features, self.current)
        self.similar = SimilarItemsFinder(self.current)
        self.items = Items(self._live_items, catalogue, self.current)

    def start(self) -> None:
        """Start every thread. The API answers once the last model is back and all have done a round, or take long."""
        for part in (self._impressions, self.worker, self._live_items, self._watcher, self._refresher, self._opener):
            part.start()
        # Requests wait in the socket's backlog meanwhile, instead of being answered with an empty list.
        self._watcher.wait_recalled(_RECALL_SECONDS)
        self._settle(time.monotonic() + _SETTLE_SECONDS)

    def stop(self) -> None:
        """Finish what was acknowledged, then close."""
        self._stopping.set()
        self._impressions.stop()
        self._refresher.stop()
        self._watcher.stop()
        self._live_items.stop()
        self.worker.stop()
        for part in (self._offsets, self._items, self._rejects, self._log):
            part.close()
        if self.keys is not None:
            self.keys.close()
        self._traces.close()

    def readiness(self) -> Readiness:
        """What keeps full answers from being given, and what is merely not as it should be."""
        worker = self.worker.status()
        snapshot = self.current.snapshot
        reasons = {
            "online store": self._store_fault,
            "model": self._watcher.model_fault if snapshot.model is None else None,
            "nearline worker": _worker_fault(worker.is_running, worker.lag, worker.last_error),
        }
        warnings = {
            "model": self._watcher.model_fault if snapshot.model else None,
            "registry": self._watcher.registry_fault,
            "champion watcher": None if self._watcher.is_running else "its thread has ended: restart this process",
            "popularity": self._refresher.fault,
            "event log": "it cannot be written: events are refused" if self._impressions.is_dropping else None,
            "items": self._live_items.fault if self._live_items.is_running else "their thread has ended: restart this",
        }
        return Readiness(
            ready=not any(reasons.values()),
            reasons=[f"{part}: {fault}" for part, fault in reasons.items() if fault],
            warnings=[f"{part}: {fault}" for part, fault in warnings.items() if fault],
            model=snapshot.model.ref if snapshot.model else None,
            nearline_position=worker.position,
            nearline_lag=worker.lag,
        )

    def measure(self) -> None:
        """Bring the gauges up to date, just before they are read."""
        worker = self.worker.status()
        self.metrics.worker_lag.set(worker.lag)
        self.metrics.worker_running.set(worker.is_running)

    def _wait_until(self, sequence: int, timeout: float) -> bool:
        return self._store.is_open and self.worker.wait_until(sequence, timeout)

    def _settle(self, end: float) -> None:
        """Wait for the first round of everybody: imports and counts of all items would keep answers waiting instead."""
        self._watcher.wait_polled(end - time.monotonic())
        self._tried_to_open.wait(end - time.monotonic())
        if self._store.is_open:
            self._refresher.wait_refreshed(end - time.monotonic())

    def _open_stores(self) -> None:
        while not self._stopping.is_set():
            try:
                self._store.open()
            except OnlineStoreError as error:
                self._store_fault = str(error)
                self._tried_to_open.set()
                self._stopping.wait(_REOPEN_SECONDS)
            else:
                self._store_fault = None
                self._tried_to_open.set()
                self.worker.wake()
                logger.info("online store open")
                return


def _worker_fault(is_running: bool, lag: int, last_error: str | None) -> str | None:
    if not is_running:
        return "its thread has ended: restart this process; no event is lost"
    if last_error is not None:
        return last_error
    return f"{lag:,} events wait to be folded" if lag > _LARGE_LAG else None
