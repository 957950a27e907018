"""Every answer is logged as impressions, one event per shown item, without slowing the answer: the loop closes here."""

import logging
import queue
import sqlite3
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from freshet.contract import Event, EventType
from ingestion.event_log import EventLog
from serving.metrics import Metrics
from serving.schemas import Recommendations

MAX_WAITING: Final = 2_000
"""Answers held in memory while the log is slow; beyond, impressions are dropped and counted."""
_LINGER_SECONDS: Final = 0.1
"""Answers of this span share one transaction, so that flushing the disk does not take the time of answering."""
_MAX_BATCH: Final = 100

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Shown:
    answer: Recommendations
    shown_at: datetime


class ImpressionLogger:
    """A bounded queue and one thread that writes it to the event log."""

    def __init__(self, log: EventLog, metrics: Metrics) -> None:
        """``log`` is the caller's, who closes it after ``stop``."""
        self._log, self._metrics = log, metrics
        self._waiting: queue.Queue[_Shown | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)
        self.is_dropping = False
        """What is shown now does not reach the log."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what still waits, then end."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def record(self, answer: Recommendations, shown_at: datetime) -> None:
        """Queue one answer; never waits, and drops when the queue is full."""
        try:
            self._waiting.put_nowait(_Shown(answer, shown_at))
        except queue.Full:
            self._drop(len(answer.items), "the event log is too slow")

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            if batch[0] is not None and self._waiting.qsize() < _MAX_BATCH:  # else there is a whole transaction already
                threading.Event().wait(_LINGER_SECONDS)
            while len(batch) < _MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            is_open = None not in batch
            self._write([shown for shown in batch if shown is not None])

    def _write(self, batch: list[_Shown]) -> None:
        events = [event for shown in batch for event in impressions(shown.answer, shown.shown_at)]
        try:
            self._log.append(events)
        except sqlite3.Error as error:
            self._drop(len(events), str(error))
            return
        self.is_dropping = False
        self._metrics.impressions.labels("logged").inc(len(events))

    def _drop(self, count: int, cause: str) -> None:
        self._metrics.impressions.labels("dropped").inc(count)
        if not self.is_dropping:
            logger.warning("impressions are being dropped", extra={"cause": cause})
        self.is_dropping = True


def impressions(answer: Recommendations, shown_at: datetime) -> list[Event]:
    """The events that say what one answer showed; their ids derive from the answer's, so writing twice counts once."""
    version = answer.model.version if answer.model else None
    return [
        # Not validated once more: every part is one that this process has made, or has validated in the request.
        Event.model_construct(
            event_id=impression_id(answer.recommendation_id, item.rank),
            event_type=EventType.IMPRESSION,
            user_id=answer.user_id,
            item_id=item.item_id,
            occurred_at=shown_at,
            received_at=shown_at,
            recommendation_id=answer.recommendation_id,
            properties={
                "rank": item.rank,
                "propensity": item.propensity,
                "source": item.source,
                "score": item.score,
                "reason": item.reason,
                "model_version": version,
            },
        )
        for item in answer.items
    ]


def impression_id(recommendation_id: str, rank: int) -> str:
    """The event id of one line of an answer."""
    return f"{recommendation_id}/{rank}"
