"""The forms in which events arrive: our own, CloudEvents 1.0, and the names that GA4 and Segment use."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from pydantic import ValidationError
from uuid6 import uuid7

from freshet.contract import MAX_EVENT_BYTES, MAX_ID_LENGTH, VISITOR, Event, EventType, visitor_of
from serving.problems import field_problems, shown, summary
from serving.strict_json import json_fault

CLOUD_EVENT: Final = "application/cloudevents+json"
CLOUD_EVENT_BATCH: Final = "application/cloudevents-batch+json"

EVENT_TYPE_ALIASES: Final[Mapping[str, str]] = {
    # Google Analytics 4
    "view_item": "view",
    "select_item": "click",
    "view_item_list": "impression",
    "add_to_wishlist": "like",
    # Segment
    "product viewed": "view",
    "product clicked": "click",
    "product added": "add_to_cart",
    "product added to wishlist": "like",
    "product reviewed": "rating",
    "product list viewed": "impression",
    "products searched": "search",
    "order completed": "purchase",
}
"""Other names for our event types; add_to_cart, purchase and search are spelled alike in GA4 and here."""


class RejectedEventError(ValueError):
    """One event cannot be used; the message says why."""


def to_event(raw: Any, received_at: datetime, *, is_cloud_event: bool) -> Event:
    """Validate one event against the contract. Raises RejectedEventError with the reason."""
    if not isinstance(raw, dict):
        raise RejectedEventError(f"an event is a JSON object, and this is {shown(raw)}")
    fault = json_fault(raw)
    if fault is not None:
        raise RejectedEventError(f"the event {fault}")
    fields = _from_cloud_event(raw) if is_cloud_event else dict(raw)
    fields["event_type"] = _event_type(fields.get("event_type"))
    if fields["event_type"] == EventType.ERASURE:
        raise RejectedEventError("event_type: an erasure is no event that is sent: DELETE /v1/users/{user_id}")
    if fields.get("user_id") is None and isinstance(fields.get("session_id"), str):
        fields["user_id"] = _visitor(fields["session_id"])
    if fields.get("event_id") is None:
        fields["event_id"] = str(uuid7())
    if fields.get("occurred_at") is None:
        fields["occurred_at"] = received_at
    fields["received_at"] = received_at  # the server's clock, whatever was sent
    return _validated(fields)


def _visitor(session_id: str) -> str:
    longest = MAX_ID_LENGTH - len(VISITOR)
    if len(session_id) > longest:
        raise RejectedEventError(
            f"session_id: without a user_id it has at most {longest} characters: send a shorter one"
        )
    return visitor_of(session_id)


def check_size(size: int) -> None:
    """Refuse an event of more than MAX_EVENT_BYTES."""
    if size > MAX_EVENT_BYTES:
        raise RejectedEventError(f"the event has {size:,} bytes, and the limit is {MAX_EVENT_BYTES:,}")


def _validated(fields: dict[str, Any]) -> Event:
    try:
        return Event.model_validate(fields)
    except ValidationError as error:
        raise RejectedEventError(summary(field_problems(error.errors()))) from None
    except OverflowError:
        # Years 1 and 9999 leave the calendar when they are moved to UTC.
        raise RejectedEventError(f"occurred_at: {shown(fields['occurred_at'])} is out of range") from None


def _event_type(name: object) -> object:
    return EVENT_TYPE_ALIASES.get(name.casefold(), name) if isinstance(name, str) else name


def _from_cloud_event(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The event in a CloudEvent's ``data``; the envelope gives what ``data`` leaves out."""
    if envelope.get("specversion") != "1.0":
        raise RejectedEventError(f"specversion: {shown(envelope.get('specversion'))} is not supported: send '1.0'")
    for attribute in ("id", "source", "type"):
        if not isinstance(envelope.get(attribute), str) or not envelope[attribute]:
            raise RejectedEventError(f"{attribute}: a CloudEvent has one, and it is text")
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise RejectedEventError(f"data: a JSON object with the event's fields is needed, and this is {shown(data)}")
    origin = {name: envelope[name] for name in ("id", "source", "type", "subject") if envelope.get(name) is not None}
    properties = data.get("properties") or {}
    # CloudEvents are identified by source and id together: two sources may use the same id.
    named = {
        "event_id": str(uuid5(NAMESPACE_URL, f"{envelope['source']}\n{envelope['id']}")),
        "event_type": envelope["type"].rpartition(".")[2],
        "occurred_at": envelope.get("time"),
    }
    fields = {**named, **{name: value for name, value in data.items() if value is not None}}
    fields["properties"] = {"cloudevent": origin, **properties} if isinstance(properties, dict) else properties
    return fields
