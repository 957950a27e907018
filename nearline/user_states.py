"""Users' packed states in Feast's online store: the only file through which the worker touches Feast."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from freshet.feature_store import USER_RECENT_EVENTS
from nearline.feast_rows import entity_key, provider_and_view, utc
from nearline.session_features import UserState

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
    """The user's packed row, read and written at the interface that Feast has for its online stores.

    Feast's ``push`` ends there too, but goes through pandas and Arrow: 7 ms of Python that keep a request from its
    interpreter.
    """

    def __init__(self, store: Callable[[], Any]) -> None:
        """``store`` gives a FeatureStore, or raises OnlineStoreError."""
        self._store = store

    def load(self, user_ids: Sequence[str]) -> dict[str, UserState]:
        """The states of these users, empty ones for users nobody has met."""
        store = self._store()
        from nearline.packed_rows import unpacked

        with online_store_errors():
            provider, view = provider_and_view(store, USER_RECENT_EVENTS)
            keys = [entity_key("user_id", user_id) for user_id in user_ids]
            rows = provider.online_read(store.config, view, keys, list(STATE_COLUMNS))
        return {
            user_id: UserState(user_id) if known_at is None else unpacked(user_id, (utc(known_at), values))
            for user_id, (known_at, values) in zip(user_ids, rows, strict=True)
        }

    def save(self, states: Iterable[UserState]) -> None:
        """Write all states at once. Online only: the event log is the truth, and the marts are rebuilt from it."""
        store = self._store()
        from nearline.packed_rows import packed

        rows = []
        for state in states:
            known_at, values = packed(state)
            rows.append((entity_key("user_id", state.user_id), values, known_at, None))
        with online_store_errors():
            provider, view = provider_and_view(store, USER_RECENT_EVENTS)
            provider.online_write_batch(store.config, view, rows, None)

    def forget(self, erased: Mapping[str, datetime]) -> None:
        """Let nothing be known of these users from before they were erased, now and whoever writes it again."""
        store = self._store()
        from nearline.online_store import forget_entities

        with online_store_errors():
            forget_entities(store, "user_id", erased)


@contextmanager
def online_store_errors() -> Iterator[None]:
    """Whatever Feast, its registry or its SQLite store raise becomes one OnlineStoreError that names the cause."""
    from feast.errors import FeastError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (FeastError, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise OnlineStoreError(f"online store: {type(error).__name__}: {error}") from error
