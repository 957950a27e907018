"""Two packed rows of one user become one: how the online store takes a batch and a push that do not know each other.

Of two rows the newer one need not know more: a batch brings history to a user who is active just now, and an event from
a clock that is ahead gives many later states its own moment. So neither replaces the other; the two are merged.
"""

from datetime import datetime

from feast.protos.feast.types.Value_pb2 import DoubleList, Int64List, StringList, Value

from nearline.feast_rows import EVENT_TIMESTAMP
from nearline.session_features import RecentEvent, UserState, merge, to_feature_row

PackedRow = tuple[datetime, dict[str, Value]]


def merge_rows(known: PackedRow, other: PackedRow) -> PackedRow:
    """One row that knows what both know; one of the two when it already does."""
    if other == known:
        return known
    known_state, other_state = unpacked("", known), unpacked("", other)  # a row does not repeat its user
    merged = merge(known_state, other_state)
    if merged == known_state:
        return known
    return other if merged == other_state else packed(merged)


def unpacked(user_id: str, row: PackedRow) -> UserState:
    """The state of a row, as ``from_feature_row`` reads it, but without dictionaries: every answer does this."""
    known_at, values = row
    events = zip(
        *(values[name].string_list_val.val for name in ("recent_event_ids", "recent_item_ids", "recent_event_types")),
        [None if value != value else value for value in values["recent_values"].double_list_val.val],  # NaN: missing
        values["recent_occurred_at"].int64_list_val.val,
        strict=True,
    )
    recent = tuple(map(RecentEvent._make, events))
    return UserState(user_id, recent, frozenset(values["seen_item_ids"].string_list_val.val), known_at)


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
