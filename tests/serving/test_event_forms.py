"""Every form in which an event may arrive becomes the contract's event, or a reason."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from freshet.contract import EventType
from serving.event_forms import EVENT_TYPE_ALIASES, RejectedEventError, to_event

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
VIEW = {"event_type": "view", "user_id": "u1", "item_id": "i1"}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "https://shop.example/web",
    "type": "example.shop.view",
    "time": "2025-06-01T11:00:00Z",
    "data": {"user_id": "u1", "item_id": "i1"},
}


def parse(raw, *, is_cloud_event=False):
    return to_event(raw, NOW, is_cloud_event=is_cloud_event)


def test_id_and_times_may_be_left_out():
    event = parse(VIEW)
    assert UUID(event.event_id).version == 7
    assert event.occurred_at == event.received_at == NOW


def test_received_at_is_always_the_servers():
    assert parse({**VIEW, "received_at": "1999-01-01T00:00:00Z"}).received_at == NOW


@pytest.mark.parametrize(("name", "event_type"), EVENT_TYPE_ALIASES.items())
def test_names_of_ga4_and_segment_are_understood(name, event_type):
    raw = {**VIEW, "event_type": name, "text": "words"}
    assert parse(raw).event_type == EventType(event_type)


def test_names_of_segment_are_understood_as_segment_writes_them():
    assert parse({**VIEW, "event_type": "Order Completed"}).event_type is EventType.PURCHASE


def test_a_cloud_event_takes_from_its_envelope_what_data_leaves_out():
    event = parse(CLOUD_EVENT, is_cloud_event=True)
    assert (event.event_type, event.user_id, event.item_id) == (EventType.VIEW, "u1", "i1")
    assert event.occurred_at == datetime(2025, 6, 1, 11, tzinfo=UTC)
    assert event.properties["cloudevent"] == {
        "id": "1",
        "source": "https://shop.example/web",
        "type": "example.shop.view",
    }


def test_cloud_events_are_the_same_when_source_and_id_are():
    first = parse(CLOUD_EVENT, is_cloud_event=True)
    again = parse(CLOUD_EVENT, is_cloud_event=True)
    elsewhere = parse({**CLOUD_EVENT, "source": "app"}, is_cloud_event=True)
    assert first.event_id == again.event_id != elsewhere.event_id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event_type": "stare"}, "event_type: "),
        ({"event_type": 7}, "event_type: "),
        ({"user_id": ""}, "user_id: "),
        ({"user_id": None}, "user_id: "),
        ({"user_id": "two words"}, "user_id: "),
        ({"item_id": None}, "item_id is missing"),
        ({"item_id": 318}, "item_id: "),
        ({"colour": "red"}, "colour: unknown field"),
        ({"occurred_at": "yesterday"}, "occurred_at: "),
        ({"occurred_at": "2025-06-01T12:00:00"}, "occurred_at: "),
        ({"occurred_at": "2025-06-01T12:06:00Z"}, "check the sender's clock"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "out of range"),
        ({"value": "many"}, "value: "),
        ({"value": 1e999}, "not finite"),
        ({"value": 10**400}, "beyond 64 bits"),
        ({"text": "x" * 9_000}, "text: "),
        ({"properties": [1]}, "properties: "),
        ({"properties": {"deep": [[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}}, "nested deeper than"),
        ({"event_type": "search", "item_id": None}, "text is missing"),
    ],
)
def test_a_wrong_field_is_named(change, reason):
    with pytest.raises(RejectedEventError, match=reason):
        parse({**VIEW, **change})


@pytest.mark.parametrize("raw", [None, 7, "view", [], True])
def test_what_is_no_object_is_refused(raw):
    with pytest.raises(RejectedEventError, match="an event is a JSON object"):
        parse(raw)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"specversion": "0.3"}, "specversion: '0.3'"),
        ({"specversion": None}, "specversion: "),
        ({"id": ""}, "id: "),
        ({"source": 4}, "source: "),
        ({"type": None}, "type: "),
        ({"data": None}, "data: "),
        ({"data": "text"}, "data: "),
        ({"data": {"user_id": "u1", "item_id": "i1", "properties": 3}}, "properties: "),
        ({"type": "example.shop.stare"}, "event_type: "),
    ],
)
def test_a_wrong_cloud_event_is_named(change, reason):
    with pytest.raises(RejectedEventError, match=reason):
        parse({**CLOUD_EVENT, **change}, is_cloud_event=True)
