"""What serving reads from Feast: one packed row per request, and the popularity of all items in the background."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from freshet.feature_store import ITEM_POPULARITY_DAILY, USER_ACTIVITY_DAILY
from nearline.feast_rows import EVENT_TIMESTAMP, online_rows
from nearline.session_features import UserState
from nearline.user_states import FeastUserStates, online_store_errors
from serving.schemas import Activity

ACTIVITY_COLUMNS: Final = (
    "n_interactions_1d",
    "n_interactions_7d",
    "n_interactions_30d",
    "n_interactions_total",
    "n_active_days",
    "last_interaction_at",
)
POPULARITY_COLUMNS: Final = ("n_interactions_1d", "n_interactions_7d", "n_interactions_30d", "n_interactions_total")
_ITEMS_PER_READ: Final = 200


@dataclass(frozen=True)
class UserFeatures:
    """All that one request needs to know about its user."""

    state: UserState
    activity: Activity | None


@dataclass(frozen=True)
class Popularity:
    """Interactions per item within 1, 7, 30 days and ever, as last materialised."""

    counts: dict[str, tuple[int, int, int, int]]
    as_of: datetime | None


NO_POPULARITY: Final = Popularity({}, None)


class OnlineFeatures(Protocol):
    """Where serving gets features; raises OnlineStoreError when it cannot."""

    def state(self, user_id: str) -> UserState:
        """What one user did, which is what ranking reads; empty for a user nobody has met."""
        ...

    def user(self, user_id: str) -> UserFeatures:
        """All of one user's features, empty for a user nobody has met."""
        ...

    def popularity(self, item_ids: Sequence[str]) -> Popularity:
        """The items' popularity; items without any are left out."""
        ...


class FeastOnlineFeatures:
    """Feast's online store, view by view, shared by the API's threads."""

    def __init__(self, store: Callable[[], Any]) -> None:
        """``store`` gives a FeatureStore, or raises OnlineStoreError."""
        self._store = store
        self._states = FeastUserStates(store)

    def state(self, user_id: str) -> UserState:
        """What one user did, which is what ranking reads; empty for a user nobody has met."""
        return self._states.load([user_id])[user_id]

    def user(self, user_id: str) -> UserFeatures:
        """All of one user's features, empty for a user nobody has met."""
        [activity] = self._rows(USER_ACTIVITY_DAILY, "user_id", [user_id], ACTIVITY_COLUMNS)
        return UserFeatures(self.state(user_id), _activity(activity))

    def popularity(self, item_ids: Sequence[str]) -> Popularity:
        """The items' popularity; items without any are left out."""
        self._store()  # without it, even no items would be an answer
        counts: dict[str, tuple[int, int, int, int]] = {}
        moments: list[datetime] = []
        for start in range(0, len(item_ids), _ITEMS_PER_READ):
            began, chunk = time.thread_time(), item_ids[start : start + _ITEMS_PER_READ]
            rows = self._rows(ITEM_POPULARITY_DAILY, "item_id", chunk, POPULARITY_COLUMNS)
            for item_id, row in zip(chunk, rows, strict=True):
                if row[EVENT_TIMESTAMP] is not None:
                    one, seven, thirty, total = (int(row[column] or 0) for column in POPULARITY_COLUMNS)
                    counts[item_id] = (one, seven, thirty, total)
                    moments.append(row[EVENT_TIMESTAMP])
            # A large catalogue must not keep requests from the interpreter: it is read in half of the time.
            time.sleep(time.thread_time() - began)
        return Popularity(counts, max(moments, default=None))

    def _rows(
        self, view: str, join_key: str, entity_ids: Sequence[str], columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        store = self._store()
        with online_store_errors():
            return online_rows(store, view, join_key, entity_ids, columns)


def _activity(row: dict[str, Any]) -> Activity | None:
    if row[EVENT_TIMESTAMP] is None:
        return None
    return Activity(**{column: row[column] for column in ACTIVITY_COLUMNS})
