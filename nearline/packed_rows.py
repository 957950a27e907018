"""Two packed rows of one user become one: how the online store takes a batch and a push that do not know each other.

Of two rows the newer one need not know more: a batch brings history to a user who is active just now, and an event from
a clock that is ahead gives many later states its own moment. So neither replaces the other; the two are merged.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from feast.protos.feast.types.Value_pb2 import DoubleList, Int64List, StringList, Value

from freshet.contract import MAX_RECENT_EVENTS
from nearline.feast_rows import EVENT_TIMESTAMP
from nearline.session_features import RecentEvent, UserState, merge, to_feature_row

PackedRow = tuple[datetime, dict[str, Value]]


def merge_rows(known: PackedRow, other: PackedRow) -> PackedRow:
    """One row that knows what both know; one of the two when it already does."""
    if other == known:
        return known
    if _goes_on(known, other):
        return other
    known_state, other_state = unpacked("", known), unpacked("", other)  # a row does not repeat its user
    merged = merge(known_state, other_state)
    if merged == known_state:
        return known
    return other if merged == other_state else packed(merged)


def _goes_on(known: PackedRow, other: PackedRow) -> bool:
    """Whether the other row is the known one and newer events, as nearly always where one worker reads and writes.

    Asked of the columns as they are, in a part of the time in which states are made, merged and compared.
    """
    (known_at, before), (other_at, after) = known, other
    recent, other_recent = (list(map(list, _recent_columns(values))) for values in (before, after))
    ids, other_ids = recent[0], other_recent[0]
    if known_at > other_at or not other_ids or other_ids[0] not in ids:
        return False
    n_left_out = ids.index(other_ids[0])
    if n_left_out and len(other_ids) < MAX_RECENT_EVENTS:
        return False
    kept = [column[: len(ids) - n_left_out] for column in other_recent]
    if kept != [column[n_left_out:] for column in recent]:
        return False
    return frozenset(_seen(before)) <= frozenset(_seen(after))


def _recent_columns(values: Mapping[str, Value]) -> Iterator[Iterable[Any]]:
    """Event ids first; what each of the recent events consists of, oldest first."""
    for name in ("recent_event_ids", "recent_item_ids", "recent_event_types"):
        yield values[name].string_list_val.val
    yield [None if value != value else value for value in values["recent_values"].double_list_val.val]  # NaN: missing
    yield values["recent_occurred_at"].int64_list_val.val


def _seen(values: Mapping[str, Value]) -> Iterable[str]:
    return values["seen_item_ids"].string_list_val.val  # type: ignore[no-any-return]


def unpacked(user_id: str, row: PackedRow) -> UserState:
    """The state of a row, as ``from_feature_row`` reads it, but without dictionaries: every answer does this."""
    known_at, values = row
    recent = tuple(map(RecentEvent._make, zip(*_recent_columns(values), strict=True)))
    return UserState(user_id, recent, frozenset(_seen(values)), known_at)


def packed(state: UserState) -> PackedRow:
    """The row of a state."""
    columns = to_feature_row(state)
    return columns[EVENT_TIMESTAMP], {
        "recent_event_ids": Value(string_list_val=StringList(val=columns["recent_event_ids"])),
        "recent_item_ids": Value(string_list_val=StringList(val=columns["recent_item_ids"])),
        "recent_event_types": Value(string_list_val=StringList(val=columns["recent_event_types"])),
        "recent_values": Value(double_list_val=DoubleList(val=columns["recent_values"])),
        "recent_occurred_at": Value(int64_list_val=Int64List(val=columns["recent_occurred_at"])),
        "seen_item_ids": Value(string_list_val=StringList(val=columns["seen_item_ids"])),
    }
