"""Rows of Feast's online store as plain dictionaries, with exact event times."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

EVENT_TIMESTAMP = "event_timestamp"


def online_rows(
    store: Any, view: str, join_key: str, entity_ids: Sequence[str], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """One row per entity of one view, with ``columns`` and its event time, which is None when nothing is known.

    Read at the interface that Feast has for its online stores, whichever of them it is. ``get_online_features`` ends
    there too, but makes a table of all the features of a service on the way, which costs more than the row.
    """
    keys = [entity_key(join_key, each) for each in entity_ids]
    provider, feature_view = provider_and_view(store, view)
    rows = provider.online_read(store.config, feature_view, keys, list(columns))
    return [_plain_row(columns, moment, values or {}) for moment, values in rows]


def entity_key(join_key: str, entity_id: str) -> Any:
    """Feast's name for one entity."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    return EntityKey(join_keys=[join_key], entity_values=[Value(string_val=entity_id)])


@lru_cache(maxsize=16)
def provider_and_view(store: Any, view: str) -> tuple[Any, Any]:
    """What reads and writes the rows of an open store, and the definition of a view."""
    from feast.infra.provider import get_provider

    return get_provider(store.config), store.get_feature_view(view)


def utc(moment: datetime) -> datetime:
    """Without a zone is Feast's way of writing UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _plain_row(columns: Sequence[str], moment: datetime | None, values: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {name: plain(values[name]) if name in values else None for name in columns}
    return row | {EVENT_TIMESTAMP: None if moment is None else utc(moment)}


def response_rows(response: Any, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The same from what ``get_online_features`` answers, whose own ``to_dict`` cuts event times to whole seconds."""
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
