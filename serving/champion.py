"""Follows the champion alias: a new champion is loaded and tried beside the old one, then takes over between requests.

A champion that cannot be loaded is refused, and the old one answers on; metrics, log and /readyz say so.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from serving.catalogue import from_table
from serving.long_lived import made_to_stay
from serving.metrics import Metrics
from serving.schemas import ModelRef
from serving.snapshot import ServedModel
from serving.text_tower import TextTowers
from training import registry
from training.blend import REGIMES
from training.bundle import BundleError, load_bundle
from training.history import History
from training.llm_recommender import HEADS, LLMRecommender
from training.quick_scores import QuickScores
from training.registry import CHAMPION, MODEL_NAME
from training.trend import TRENDS

RETRY_REFUSED_SECONDS: Final = 60.0
"""A refused version is tried again after this long: the cause may have been a full disk."""
_LAST_SERVED: Final = "last_served.json"
"""Beside the local copies: which of them answered last. A restart serves it at once, even without the registry."""

logger = logging.getLogger(__name__)


class ChampionWatcher:
    """Polls the registry in one thread and puts each new champion into the snapshot."""

    def __init__(
        self,
        tracking_uri: str,
        models_dir: Path,
        poll_seconds: float,
        towers: TextTowers,
        serve: Callable[[ServedModel], None],
        metrics: Metrics,
    ) -> None:
        """``models_dir`` keeps local copies, so a restart needs no artifact store; ``serve`` takes what is loaded."""
        self._tracking_uri, self._models_dir, self._poll_seconds = tracking_uri, models_dir, poll_seconds
        self._towers, self._serve, self._metrics = towers, serve, metrics
        self._served_version: int | None = None
        self._refused_version: int | None = None
        self._refused_at = 0.0
        self._stopping, self._recalled, self._polled = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion-watcher", daemon=True)
        self.registry_fault: str | None = None
        self.model_fault: str | None = "the registry has not been asked yet"

    def start(self) -> None:
        """Begin to follow the alias."""
        self._thread.start()

    def wait_recalled(self, timeout: float) -> bool:
        """Wait until what was served last is served again, or there is no such thing; false when that takes longer."""
        return self._recalled.wait(timeout)

    def wait_polled(self, timeout: float) -> bool:
        """Wait until the registry has been asked once, for which MLflow is imported; false when that takes longer."""
        return self._polled.wait(timeout)

    def stop(self) -> None:
        """End after the poll at hand; loading is not interrupted, and the process need not wait for it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @property
    def is_running(self) -> bool:
        """The alias is being followed."""
        return self._thread.is_alive()

    def poll(self) -> None:
        """Ask the registry once, and load its champion if that is another one."""
        try:
            found = registry.champion(self._tracking_uri)
        except registry_errors() as error:
            self._note_registry_fault(f"the registry cannot be read: {error}")
            return
        if found is None:
            self._note_no_champion()
            return
        self.registry_fault = None
        if found.version == self._served_version:
            self.model_fault = None
        elif not self._is_refused(found.version):
            self._fetch_and_load(found)

    def recall(self) -> None:
        """Serve what was served last, from its local copy, until the registry has been asked."""
        remembered = read_last_served(self._models_dir)
        if remembered is not None:
            self._load(*remembered)

    def _run(self) -> None:
        self.recall()
        self._recalled.set()
        while not self._stopping.is_set():
            self.poll()
            self._polled.set()
            self._stopping.wait(self._poll_seconds)

    def _is_refused(self, version: int) -> bool:
        return version == self._refused_version and time.monotonic() - self._refused_at < RETRY_REFUSED_SECONDS

    def _fetch_and_load(self, found: registry.ModelVersion) -> None:
        try:
            folder = registry.download(found, self._models_dir)
        except BundleError as error:
            self._refuse(found.version, error)
        except registry_errors() as error:
            self._refuse(found.version, error)
        else:
            self._load(found.version, folder)

    def _load(self, version: int, folder: Path) -> None:
        try:
            with made_to_stay():
                model = load_model(version, folder, self._towers)
        except Exception as error:  # noqa: BLE001  a bad bundle may fail in any library that reads it; the old one serves on
            self._refuse(version, error)
            return
        self._serve(model)
        self._served_version, self._refused_version, self.model_fault = version, None, None
        with contextlib.suppress(OSError):  # a full disk costs the next start its head start, nothing else
            write_last_served(self._models_dir, version, folder)
        self._metrics.model_loads.labels("loaded").inc()
        self._metrics.note_model(model.ref)
        logger.info("champion loaded", extra={"version": version})

    def _refuse(self, version: int, error: Exception) -> None:
        self._refused_version, self._refused_at = version, time.monotonic()
        serving = f"version {self._served_version} serves on" if self._served_version else "popular items are served"
        self.model_fault = f"champion version {version} was refused, {serving}: {type(error).__name__}: {error}"
        self._metrics.model_loads.labels("refused").inc()
        logger.error("champion refused", exc_info=error, extra={"version": version, "instead": serving})

    def _note_no_champion(self) -> None:
        if self._served_version is None:
            self.registry_fault = None
            self.model_fault = "no champion is registered: run `make run`, or `freshet train` after `freshet features`"
        else:
            self._note_registry_fault("the registry has no champion any more")

    def _note_registry_fault(self, fault: str) -> None:
        if self.registry_fault is None:
            logger.warning("registry fault", extra={"fault": fault, "served_version": self._served_version})
        self.registry_fault = fault
        if self._served_version is None:
            self.model_fault = fault


def registry_errors() -> tuple[type[Exception], ...]:
    """What MLflow raises when its database or its artifacts cannot be reached. Loads mlflow, so only in a thread."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError


def load_model(version: int, folder: Path, towers: TextTowers | None = None) -> ServedModel:
    """Verify, load and try one version's bundle; ``towers`` let it read new texts. Raises whatever is wrong with it."""
    bundle = load_bundle(folder)
    item_ids = [str(item_id) for item_id in bundle.recommender.item_ids]
    model = ServedModel(
        ref=ModelRef(name=MODEL_NAME, version=str(version), alias=CHAMPION),
        recommender=bundle.recommender,
        item_index={item_id: index for index, item_id in enumerate(item_ids)},
        items=bundle.items,
        knows_strangers=_knows_strangers(bundle.recommender),
        tower=towers.open(bundle) if towers else None,
        quick=QuickScores.of(bundle.recommender),
    )
    _try(model)
    return model


def _knows_strangers(recommender: LLMRecommender) -> bool:
    """Without a history only the trend heads speak, and one that only holds popular items back would lead astray."""
    weights = recommender.weights[REGIMES.index("no_history")]
    return any(weights[HEADS.index(trend)] > 0 for trend in TRENDS)


def write_last_served(models_dir: Path, version: int, folder: Path) -> None:
    """Remember which local copy answers."""
    partial = models_dir / f".{_LAST_SERVED}.partial"
    partial.write_text(json.dumps({"version": version, "folder": str(folder.relative_to(models_dir))}))
    partial.replace(models_dir / _LAST_SERVED)


def read_last_served(models_dir: Path) -> tuple[int, Path] | None:
    """Version and folder of the copy that answered last, if it is still there."""
    try:
        remembered = json.loads((models_dir / _LAST_SERVED).read_text())
        version, folder = int(remembered["version"]), (models_dir / str(remembered["folder"])).resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (version, folder) if folder.is_dir() and folder.is_relative_to(models_dir.resolve()) else None


def _try(model: ServedModel) -> None:
    """Read some items, rank once with and once without a history: what is broken fails here, what is good is warm."""
    from_table(model.items.slice(0, 3))
    now_us = time.time_ns() // 1_000
    for length in (0, min(3, len(model.item_index))):
        history = History(np.arange(length, dtype=np.int32), np.full(length, now_us, dtype=np.int64))
        scores = model.recommender.score(history, now_us, None)
        if scores.shape != (len(model.item_index),) or not np.isfinite(scores).all():
            raise ValueError(
                f"{len(model.item_index)} items need as many finite scores, and the model gives {scores.shape}"
            )
