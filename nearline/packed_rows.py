"""Two packed rows of one user become one: how the online store takes a batch and a push that do not know each other.

Of two rows the newer one need not know more: a batch brings history to a user who is active just now, and an event from
a clock that is ahead gives many later states its own moment. So neither replaces the other; the two are merged.
"""

from datetime import datetime
from typing import Any

from feast.protos.feast.types.Value_pb2 import DoubleList, Int64List, StringList, Value

from nearline.feast_rows import EVENT_TIMESTAMP, plain
from nearline.session_features import UserState, from_feature_row, merge, to_feature_row

PackedRow = tuple[datetime, dict[str, Value]]


def merge_rows(known: PackedRow, other: PackedRow) -> PackedRow:
    """One row that knows what both know; one of the two when it already does."""
    if other == known:
        return known
    known_state, other_state = _unpacked(known), _unpacked(other)
    merged = merge(known_state, other_state)
    if merged == known_state:
        return known
    return other if merged == other_state else packed(merged)


def _unpacked(row: PackedRow) -> UserState:
    known_at, values = row
    columns: dict[str, Any] = {name: plain(value) for name, value in values.items()}
    return from_feature_row("", columns | {EVENT_TIMESTAMP: known_at})  # a row does not repeat its user


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
