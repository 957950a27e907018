"""The borders of the contract: what is just allowed, and what is just not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from freshet.contract import (
    INTERACTION_TYPES,
    MAX_CLOCK_SKEW,
    NEGATIVE_TYPES,
    Event,
    EventType,
    Item,
    User,
    is_negative,
)

NOON = datetime(2025, 5, 1, 12, tzinfo=UTC)
EVENT = {
    "event_id": "e1",
    "event_type": "click",
    "user_id": "u1",
    "item_id": "i1",
    "occurred_at": NOON,
    "received_at": NOON,
}
ITEM = {"item_id": "i1", "title": "A thing", "updated_at": NOON}


def refusal(model, fields):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    return str(caught.value)


@given(
    st.builds(
        Event,
        event_id=st.from_regex(r"[!-~]{1,128}", fullmatch=True),
        event_type=st.sampled_from(sorted(INTERACTION_TYPES)),
        user_id=st.just("ü/1"),
        item_id=st.just("i1"),
        occurred_at=st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
        received_at=st.just(datetime(2199, 12, 31, tzinfo=UTC)),
        value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        text=st.none() | st.text(max_size=50).filter(lambda text: text.isprintable()),
        properties=st.dictionaries(st.text(max_size=5), st.integers() | st.booleans() | st.none(), max_size=3),
    )
)
def test_an_event_survives_json(event):
    assert Event.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize("name", ["event_id", "event_type", "user_id", "occurred_at", "received_at"])
def test_what_every_event_needs_is_named_when_missing(name):
    assert f"{name}\n  Field required" in refusal(Event, {key: value for key, value in EVENT.items() if key != name})


@pytest.mark.parametrize("event_id", ["", " ", "a b", "a\tb", "a\n", "\x00", "x" * 129, 7, None])
def test_ids_are_printable_and_short(event_id):
    assert "event_id" in refusal(Event, EVENT | {"event_id": event_id})


def test_the_longest_id_is_allowed():
    assert Event.model_validate(EVENT | {"event_id": "x" * 128}).event_id == "x" * 128


def test_only_a_search_has_no_item():
    assert "item_id is missing" in refusal(Event, EVENT | {"item_id": None})
    assert Event.model_validate(EVENT | {"item_id": None, "event_type": "search", "text": "tea"}).item_id is None


@pytest.mark.parametrize("event_type", ["search", "tag"])
def test_searches_and_tags_are_words(event_type):
    assert "text is missing" in refusal(Event, EVENT | {"event_type": event_type, "text": ""})


def test_a_clock_may_be_a_little_fast():
    assert Event.model_validate(EVENT | {"occurred_at": NOON + MAX_CLOCK_SKEW})
    too_fast = EVENT | {"occurred_at": NOON + MAX_CLOCK_SKEW + timedelta(microseconds=1)}
    assert "check the sender's clock" in refusal(Event, too_fast)


def test_moments_are_kept_in_utc_to_the_microsecond():
    event = Event.model_validate(EVENT | {"occurred_at": "2025-05-01T13:59:59.123456+02:00"})
    assert event.occurred_at.isoformat() == "2025-05-01T11:59:59.123456+00:00"


@pytest.mark.parametrize(
    "moment",
    ["2025-05-01T12:00:00", "1899-12-31T23:59:59Z", "0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-09:00", "now"],
)
def test_impossible_moments_are_refused(moment):
    assert "occurred_at" in refusal(Event, EVENT | {"occurred_at": moment})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"value": float("nan")}, "value"),
        ({"value": float("inf")}, "value"),
        ({"text": "x" * 8_193}, "text"),
        ({"event_type": "teleport"}, "event_type"),
        ({"properties": []}, "properties"),
        ({"propperties": {}}, "propperties"),
    ],
)
def test_what_no_event_can_say_is_refused_by_field(change, field):
    assert field in refusal(Event, EVENT | change)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": "  "}, "title"),
        ({"price": -0.01}, "price"),
        ({"categories": "toys"}, "categories"),
        ({"tags": [""]}, "tags"),
        ({"updated_at": None}, "updated_at"),
    ],
)
def test_what_no_item_can_be_is_refused_by_field(change, field):
    assert field in refusal(Item, ITEM | change)


def test_what_is_left_out_is_empty():
    item, user = Item.model_validate(ITEM | {"categories": None, "attributes": None}), User(user_id="u1")
    assert (item.categories, item.tags, item.attributes, item.is_available) == ([], [], {}, True)
    assert (user.attributes, user.created_at) == ({}, None)


def test_what_was_only_shown_or_said_is_no_interaction():
    others = {EventType.IMPRESSION, EventType.SEARCH, EventType.TAG, EventType.ERASURE}
    assert set(EventType) - INTERACTION_TYPES == others
    assert NEGATIVE_TYPES < INTERACTION_TYPES


def test_records_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        User(user_id="u1").user_id = "u2"


def test_hides_dislikes_and_returns_are_negative():
    assert is_negative("hide", None) and is_negative("dislike", None)
    assert is_negative("purchase", -1.0)
    assert not any(is_negative("purchase", value) for value in (None, 0.0, 3.0))
    assert not is_negative("rating", -1.0)
