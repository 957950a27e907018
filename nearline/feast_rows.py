"""Feast's answer as plain rows, with exact event times: Feast's own ``to_dict`` cuts them to whole seconds."""

import math
from datetime import UTC, datetime
from typing import Any

EVENT_TIMESTAMP = "event_timestamp"


def response_rows(response: Any, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row per entity with ``columns`` and their newest event time, which is None when the store knows nothing."""
    names = list(response.proto.metadata.feature_names.val)
    vectors = [(name, response.proto.results[names.index(name)]) for name in columns]
    return [_row(vectors, entity) for entity in range(len(vectors[0][1].values))]


def _row(vectors: list[tuple[str, Any]], entity: int) -> dict[str, Any]:
    row = {name: plain(vector.values[entity]) for name, vector in vectors}
    stamps = [vector.event_timestamps[entity] for name, vector in vectors if row[name] is not None]
    newest = max(((stamp.seconds, stamp.nanos) for stamp in stamps), default=(0, 0))
    row[EVENT_TIMESTAMP] = _moment(*newest) if newest > (0, 0) else None
    return row


def _moment(seconds: int, nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1_000)


def plain(value: Any) -> Any:
    """Feast's value as Python's own; a missing number, which Feast writes as NaN, is None."""
    kind = value.WhichOneof("val")
    if kind is None or kind == "null_val":
        return None
    found = getattr(value, kind)
    if kind.endswith("_list_val"):
        return list(found.val)
    return None if isinstance(found, float) and math.isnan(found) else found
