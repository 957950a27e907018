"""Users' packed states in Feast's online store: the only file through which the worker touches Feast."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

from freshet.feature_store import USER_RECENT_EVENTS
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
    """The user's packed row through the interface that Feast has for its online stores, whichever of them it is.

    Feast's ways for users, ``get_online_features`` and ``push``, end there too. But the one makes a table of ours for
    many features, at .2 ms and more a read, and the other goes through pandas and Arrow, at 7 ms a push: all of it
    Python that keeps a request from its interpreter.
    """

    def __init__(self, store: Callable[[], Any]) -> None:
        """``store`` gives a FeatureStore, or raises OnlineStoreError."""
        self._store = store

    def load(self, user_ids: Sequence[str]) -> dict[str, UserState]:
        """The states of these users, empty ones for users nobody has met."""
        provider, view = _provider_and_view(store := self._store())
        from nearline.packed_rows import unpacked

        with online_store_errors():
            rows = provider.online_read(store.config, view, [_entity_key(each) for each in user_ids], [*STATE_COLUMNS])
        return {
            user_id: UserState(user_id) if known_at is None else unpacked(user_id, (_utc(known_at), values))
            for user_id, (known_at, values) in zip(user_ids, rows, strict=True)
        }

    def save(self, states: Iterable[UserState]) -> None:
        """Write all states at once. Online only: the event log is the truth, and the marts are rebuilt from it."""
        provider, view = _provider_and_view(store := self._store())
        from nearline.packed_rows import packed

        rows = []
        for state in states:
            known_at, values = packed(state)
            rows.append((_entity_key(state.user_id), values, known_at, None))
        with online_store_errors():
            provider.online_write_batch(store.config, view, rows, None)

    def forget(self, erased: Mapping[str, datetime]) -> None:
        """Let nothing be known of these users from before they were erased, now and whoever writes it again."""
        store = self._store()
        from nearline.online_store import forget_entities

        with online_store_errors():
            forget_entities(store, "user_id", erased)


@lru_cache(maxsize=4)
def _provider_and_view(store: Any) -> tuple[Any, Any]:
    """What reads and writes the rows of an open store, and the view that they are of."""
    from feast.infra.provider import get_provider

    with online_store_errors():
        return get_provider(store.config), store.get_feature_view(USER_RECENT_EVENTS)


def _entity_key(user_id: str) -> Any:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])


def _utc(moment: datetime) -> datetime:
    """Without a zone is Feast's way of writing UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


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
