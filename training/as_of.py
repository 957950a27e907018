"""The marts as they were known at a past moment: no row, list entry or end of a version from later is left in them.

Both clocks count: an event is known once it has happened *and* was received.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def known_by(name: str, table: pa.Table, as_of: int) -> pa.Table:
    """The mart of that name without what was not known ``as_of`` (microseconds)."""
    if name == "dim_item_versions":
        return _versions_known_by(table, as_of)
    if name == "fct_item_popularity_daily":
        return table.filter(pa.array(micros(table["event_timestamp"]) <= as_of))
    if name == "fct_item_tags":
        known = np.maximum(micros(table["occurred_at"]), micros(table["received_at"]))
        return table.filter(pa.array(known <= as_of))
    return _sequences_known_by(table, as_of)


def utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of times as microseconds in UTC."""
    return pc.cast(column, pa.timestamp("us", tz="UTC"))


def micros(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A column of times without nulls as microseconds since 1970."""
    found: NDArray[np.int64] = pc.cast(utc(column), pa.int64()).to_numpy()
    return found


def _versions_known_by(table: pa.Table, as_of: int) -> pa.Table:
    """What was not yet known to end by then had no end."""
    known = table.filter(pa.array(micros(table["valid_from"]) <= as_of))
    is_over = pc.less_equal(utc(known["valid_to"]), pa.scalar(as_of, pa.timestamp("us", tz="UTC")))
    ends = pc.if_else(is_over, known["valid_to"], pa.scalar(None, known["valid_to"].type))
    return known.set_column(known.column_names.index("valid_to"), known.schema.field("valid_to"), ends)


def _sequences_known_by(table: pa.Table, as_of: int) -> pa.Table:
    """Shorter lists, and fewer users."""
    lengths = pc.list_value_length(table["item_ids"]).to_numpy()
    owner = np.repeat(np.arange(len(table)), lengths)
    occurred, received = (micros(pc.list_flatten(table[name])) for name in ("occurred_at", "received_at"))
    is_known = np.maximum(occurred, received) <= as_of
    n_known = np.bincount(owner[is_known], minlength=len(table))
    offsets = pa.array(np.r_[0, np.cumsum(n_known)], pa.int32())
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            values = pc.list_flatten(table[field.name]).combine_chunks().filter(pa.array(is_known))
            table = table.set_column(index, field, pa.ListArray.from_arrays(offsets, values, type=field.type))
        elif field.name == "n_events":
            table = table.set_column(index, field, pa.array(n_known, field.type))
    return table.filter(pa.array(n_known > 0)).combine_chunks()
