"""What a user just did, as a pure fold: ``(state, event) -> state``.

The fold is commutative and idempotent: any order of arrival and any number of duplicates give the same state, which is
also what the batch mart ``fct_user_recent_events`` computes. That is why a crashed worker may simply start again.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from freshet.contract import INTERACTION_TYPES, MAX_RECENT_EVENTS, SESSION_GAP, Event, is_negative

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SESSION_GAP_US: Final = SESSION_GAP // _MICROSECOND


class RecentEvent(NamedTuple):
    """One interaction, as far as ranking needs it. A tuple, since every request makes up to a hundred of them."""

    event_id: str
    item_id: str
    event_type: str
    value: float | None
    occurred_at_us: int  # microseconds since the epoch, UTC

    @property
    def order(self) -> tuple[int, str]:
        """The one order of events: (occurred_at, event_id)."""
        return self.occurred_at_us, self.event_id

    @property
    def is_negative(self) -> bool:
        """The user said that they do not want this item."""
        return is_negative(self.event_type, self.value)


@dataclass(frozen=True, slots=True)
class UserState:
    """One user's packed row: the newest interactions in the one order, and every item ever met."""

    user_id: str
    recent: tuple[RecentEvent, ...] = ()
    seen: frozenset[str] = frozenset()
    known_at: datetime | None = None  # the newest ``known_at`` folded in; None for a user nobody has met


def is_folded(event: Event) -> bool:
    """Only interactions change a user's state: searches, tags and impressions do not."""
    return event.event_type in INTERACTION_TYPES and event.item_id is not None


def known_at(event: Event) -> datetime:
    """From when on a feature may use the event: it has happened, and we know."""
    return max(event.occurred_at, event.received_at)


def fold(state: UserState, event: Event) -> UserState:
    """The state after ``event``; the same object when the event says nothing new."""
    if event.user_id != state.user_id:
        raise ValueError(f"event {event.event_id!r} belongs to user {event.user_id!r}, not to {state.user_id!r}")
    if event.item_id is None or not is_folded(event):
        return state
    folded = replace(
        state,
        recent=_insert(state.recent, to_recent_event(event)),
        seen=state.seen if event.item_id in state.seen else state.seen | {event.item_id},
        known_at=max(known_at(event), state.known_at or known_at(event)),
    )
    return state if folded == state else folded


def merge(known: UserState, other: UserState) -> UserState:
    """What two states know together, exactly: the newest events of a union are among the newest of its parts.

    Commutative, idempotent and associative, as folding every event of both would be. Where the two disagree about one
    event, which no event log allows, ``known`` is believed.
    """
    if known.known_at is None or other.known_at is None:
        return other if known.known_at is None else known
    events = {event.order: event for event in (*other.recent, *known.recent)}
    return UserState(
        user_id=known.user_id,
        recent=tuple(events[order] for order in sorted(events)[-MAX_RECENT_EVENTS:]),
        seen=known.seen | other.seen,
        known_at=max(known.known_at, other.known_at),
    )


def to_recent_event(event: Event) -> RecentEvent:
    """The part of an interaction that is kept in the packed state."""
    if event.item_id is None:
        raise ValueError(f"event {event.event_id!r} is a {event.event_type} without an item: it is never folded")
    return RecentEvent(event.event_id, event.item_id, str(event.event_type), event.value, to_us(event.occurred_at))


def _insert(recent: tuple[RecentEvent, ...], event: RecentEvent) -> tuple[RecentEvent, ...]:
    at = bisect_left(recent, event.order, key=lambda known: known.order)
    if at < len(recent) and recent[at].event_id == event.event_id:
        return recent
    longer = (*recent[:at], event, *recent[at:])
    return longer[-MAX_RECENT_EVENTS:]


def current_session(recent: Sequence[RecentEvent]) -> Sequence[RecentEvent]:
    """The newest events without a pause longer than SESSION_GAP between neighbours."""
    start = len(recent)
    while start > 0 and (
        start == len(recent) or recent[start].occurred_at_us - recent[start - 1].occurred_at_us <= _SESSION_GAP_US
    ):
        start -= 1
    return recent[start:]


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch, exactly: floats of seconds lose the last digits."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """The UTC moment that ``to_us`` was given."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_feature_row(state: UserState) -> dict[str, Any]:
    """The state in the columns of ``fct_user_recent_events``, ready to be pushed to Feast."""
    if state.known_at is None:
        raise ValueError(f"user {state.user_id!r} has no events: there is nothing to push")
    return {
        "user_id": state.user_id,
        "event_timestamp": state.known_at,
        "recent_event_ids": [event.event_id for event in state.recent],
        "recent_item_ids": [event.item_id for event in state.recent],
        "recent_event_types": [event.event_type for event in state.recent],
        "recent_values": [math.nan if event.value is None else event.value for event in state.recent],
        "recent_occurred_at": [event.occurred_at_us for event in state.recent],
        "seen_item_ids": sorted(state.seen),
    }


def _is_missing(value: float | None) -> bool:
    # The mart says null and Feast's lists of numbers, which hold no nulls, NaN.
    return value is None or value != value


def from_feature_row(user_id: str, row: Mapping[str, Any]) -> UserState:
    """The inverse of ``to_feature_row``; an empty state when the store knows nothing about the user."""
    if row.get("event_timestamp") is None:
        return UserState(user_id)
    columns = (
        *(row[column] for column in ("recent_event_ids", "recent_item_ids", "recent_event_types")),
        [None if _is_missing(value) else value for value in row["recent_values"]],
        row["recent_occurred_at"],
    )
    return UserState(
        user_id=user_id,
        recent=tuple(map(RecentEvent._make, zip(*columns, strict=True))),
        seen=frozenset(row["seen_item_ids"]),
        known_at=row["event_timestamp"],
    )
