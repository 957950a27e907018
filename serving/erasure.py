"""A user is forgotten: at once in every answer, and with the next build in every mart and model.

The erasure is an event in the log, so it is as durable, and comes to the worker and the lake in the same order, as what
it ends. Whatever happened, or was received, until its moment no longer counts for anybody who reads the log; the online
store refuses rows from before, whoever writes them.
"""

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from uuid6 import uuid7

from freshet.contract import Event, EventType
from ingestion.event_log import EventLog
from nearline.user_states import OnlineStoreError, UserStates
from serving.schemas import UserErased
from serving.unwritable import unwritable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Erasure:
    """Forgets users."""

    log: EventLog
    states: UserStates
    wake_worker: Callable[[], None]

    def erase(self, user_id: str) -> UserErased:
        """Forget a user, durably; one whom nobody has met is forgotten likewise. Raises a 503 or 507 ProblemError."""
        now = datetime.now(UTC)
        event = Event(
            event_id=str(uuid7()), event_type=EventType.ERASURE, user_id=user_id, occurred_at=now, received_at=now
        )
        try:
            [stored] = self.log.append([event])
        except sqlite3.Error as error:
            raise unwritable("the event log", error, "the same request") from error
        try:
            self.states.forget({user_id: now})
        except OnlineStoreError as error:
            # Nothing can be read there either, and the worker meets the event before anything newer.
            logger.warning("a user is forgotten once the online store is back", extra={"error": str(error)})
        self.wake_worker()
        return UserErased(user_id=user_id, erased_at=now, freshness_token=str(stored.sequence))
