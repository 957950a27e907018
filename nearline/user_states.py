"""Users' packed states in Feast's online store: the only file through which the worker touches Feast."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from freshet.feature_store import RECENT_EVENTS_PUSH, RECOMMENDER_SERVICE
from nearline.feast_rows import response_rows
from nearline.session_features import UserState, from_feature_row, to_feature_row

STATE_COLUMNS = (
    "recent_event_ids",
    "recent_item_ids",
    "recent_event_types",
    "recent_values",
    "recent_occurred_at",
    "seen_item_ids",
)


class OnlineStoreError(RuntimeError):
    """The online store could not be read or written just now; the caller may try again or do without."""


class UserStates(Protocol):
    """Where the worker finds and leaves what users did."""

    def load(self, user_ids: Sequence[str]) -> dict[str, UserState]:
        """The states of these users, empty ones for users nobody has met."""
        ...

    def save(self, states: Iterable[UserState]) -> None:
        """Make these states visible to the next reader."""
        ...

    def forget(self, erased: Mapping[str, datetime]) -> None:
        """Let nothing be known of these users from before they were erased, now and whoever writes it again."""
        ...


class FeastUserStates:
    """The user's packed row through Feast: read by feature service, pushed in one micro-batch."""

    def __init__(self, store: Callable[[], Any]) -> None:
        """``store`` gives a FeatureStore, or raises OnlineStoreError."""
        self._store = store

    def load(self, user_ids: Sequence[str]) -> dict[str, UserState]:
        """The states of these users, empty ones for users nobody has met."""
        store = self._store()
        with online_store_errors():
            response = store.get_online_features(
                features=feature_service(store, RECOMMENDER_SERVICE),
                entity_rows=[{"user_id": user_id} for user_id in user_ids],
            )
        rows = response_rows(response, STATE_COLUMNS)
        return {user_id: from_feature_row(user_id, row) for user_id, row in zip(user_ids, rows, strict=True)}

    def save(self, states: Iterable[UserState]) -> None:
        """Push all states at once. Online only: the event log is the truth, and the batch marts are rebuilt from it."""
        store = self._store()
        import pandas
        from feast.data_source import PushMode

        rows = [to_feature_row(state) for state in states]
        for row in rows:
            # In a plain list of NaN alone, Feast's way through Arrow forgets the type and makes zeros of them.
            row["recent_values"] = np.array(row["recent_values"], dtype=np.float64)
        frame = pandas.DataFrame(rows)
        with online_store_errors():
            store.push(RECENT_EVENTS_PUSH, frame, to=PushMode.ONLINE)

    def forget(self, erased: Mapping[str, datetime]) -> None:
        """Let nothing be known of these users from before they were erased, now and whoever writes it again."""
        store = self._store()
        from nearline.online_store import forget_entities

        with online_store_errors():
            forget_entities(store, "user_id", erased)


@lru_cache(maxsize=4)
def feature_service(store: Any, name: str) -> Any:
    """A service of an open store. A service never changes, and unpacking it would take longer than reading with it."""
    return store.get_feature_service(name)


@contextmanager
def online_store_errors() -> Iterator[None]:
    """Whatever Feast, its registry or its SQLite store raise becomes one OnlineStoreError that names the cause."""
    from feast.errors import FeastError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (FeastError, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise OnlineStoreError(f"online store: {type(error).__name__}: {error}") from error
