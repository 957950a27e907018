"""The fold is commutative and idempotent, and equals a naive recomputation."""

from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.contract import INTERACTION_TYPES, MAX_RECENT_EVENTS, Event, EventType
from nearline.packed_rows import merge_rows, packed, unpacked
from nearline.session_features import (
    UserState,
    current_session,
    fold,
    from_feature_row,
    from_us,
    merge,
    to_feature_row,
    to_us,
)

START = datetime(2025, 3, 1, 12, tzinfo=UTC)


def make_event(number: int, *, minute: float = 0, item: str = "i1", event_type: str = "view", late: int = 0) -> Event:
    occurred_at = START + timedelta(minutes=minute)
    return Event(
        event_id=f"e{number:04}",
        event_type=EventType(event_type),
        user_id="u1",
        item_id=item,
        occurred_at=occurred_at,
        received_at=occurred_at + timedelta(minutes=late),
        text="words",
    )


# Few minutes and items on purpose: ties in time and repeated items are the interesting cases.
events = st.builds(
    make_event,
    st.integers(0, 9_999),
    minute=st.integers(0, 40),
    item=st.sampled_from([f"i{n}" for n in range(8)]),
    event_type=st.sampled_from([str(event_type) for event_type in EventType]),
    late=st.integers(-5, 90),
)
histories = st.lists(events, max_size=MAX_RECENT_EVENTS + 40, unique_by=lambda event: event.event_id)


def fold_all(history: list[Event], state: UserState | None = None) -> UserState:
    return reduce(fold, history, state or UserState("u1"))


def recompute(history: list[Event]) -> UserState:
    """The definition, without any cleverness."""
    met = [event for event in history if event.event_type in INTERACTION_TYPES]
    ordered = sorted(met, key=lambda event: (event.occurred_at, event.event_id))[-MAX_RECENT_EVENTS:]
    row = {
        "event_timestamp": max((max(event.occurred_at, event.received_at) for event in met), default=None),
        "recent_event_ids": [event.event_id for event in ordered],
        "recent_item_ids": [event.item_id for event in ordered],
        "recent_event_types": [str(event.event_type) for event in ordered],
        "recent_values": [event.value for event in ordered],
        "recent_occurred_at": [to_us(event.occurred_at) for event in ordered],
        "seen_item_ids": sorted({event.item_id for event in met}),
    }
    return from_feature_row("u1", row)


@given(histories)
def test_fold_equals_the_naive_recomputation(history):
    assert fold_all(history) == recompute(history)


@given(histories, st.randoms(use_true_random=False))
def test_order_of_arrival_changes_nothing(history, random):
    shuffled = random.sample(history, len(history))
    assert fold_all(shuffled) == fold_all(history)


@given(histories, st.data())
def test_duplicates_change_nothing(history, data):
    again = data.draw(st.lists(st.sampled_from(history), max_size=20)) if history else []
    assert fold_all(history + again) == fold_all(history)


@given(histories)
def test_a_state_survives_the_feature_row(history):
    state = fold_all(history)
    if state.known_at is not None:
        assert from_feature_row("u1", to_feature_row(state)) == state


@given(histories, st.integers(0, 140))
def test_replaying_from_any_offset_changes_nothing(history, offset):
    assert fold_all(history[offset:], fold_all(history)) == fold_all(history)


@given(histories, st.data())
def test_merged_states_know_what_folding_all_events_would(history, data):
    """Two writers that each saw some of the events, the same ones or others."""
    first, second = (data.draw(st.lists(st.sampled_from(history), max_size=130)) if history else [] for _ in range(2))
    expected = fold_all(first + second)
    assert merge(fold_all(first), fold_all(second)) == expected
    assert merge(fold_all(second), fold_all(first)) == expected
    assert merge(expected, fold_all(first)) == expected


@given(histories, st.integers(0, 140), st.booleans())
def test_rows_are_merged_as_their_states_are(history, first, goes_on):
    """Most rows are those of before with newer events; others were written by somebody who knows other events."""
    known, other = fold_all(history[:first]), fold_all(history if goes_on else history[first:])
    if known.known_at is not None and other.known_at is not None:
        for one, two in ((known, other), (other, known)):
            assert unpacked("u1", merge_rows(packed(one), packed(two))) == merge(one, two)


def test_a_row_that_has_gone_on_is_taken_as_it_is():
    history = [make_event(number, minute=number, item=f"i{number}") for number in range(MAX_RECENT_EVENTS + 3)]
    for n_known in (1, 50, MAX_RECENT_EVENTS - 1, MAX_RECENT_EVENTS, MAX_RECENT_EVENTS + 2):
        known, later = (packed(fold_all(history[:n])) for n in (n_known, n_known + 1))
        assert merge_rows(known, later) is later
        assert merge_rows(later, known) is later


def test_an_event_older_than_the_window_is_only_seen():
    newest = [make_event(number, minute=number) for number in range(1, MAX_RECENT_EVENTS + 1)]
    state = fold_all([*newest, make_event(0, minute=-1, item="old")])
    assert [event.event_id for event in state.recent] == [event.event_id for event in newest]
    assert state.seen == {"i1", "old"}


def test_ties_in_time_are_ordered_by_event_id():
    state = fold_all([make_event(2), make_event(1), make_event(3)])
    assert [event.event_id for event in state.recent] == ["e0001", "e0002", "e0003"]


@pytest.mark.parametrize("event_type", ["search", "tag", "impression"])
def test_what_is_no_interaction_leaves_the_state_alone(event_type):
    state = UserState("u1")
    assert fold(state, make_event(1, event_type=event_type)) is state


def test_a_known_event_gives_back_the_same_object():
    state = fold_all([make_event(1), make_event(2)])
    assert fold(state, make_event(1)) is state


def test_another_users_event_is_refused():
    with pytest.raises(ValueError, match="belongs to user 'u1', not to 'u2'"):
        fold(UserState("u2"), make_event(1))


def test_the_current_session_ends_at_a_pause_of_thirty_minutes():
    state = fold_all([make_event(1, minute=0), make_event(2, minute=31), make_event(3, minute=61)])
    assert [event.event_id for event in current_session(state.recent)] == ["e0002", "e0003"]
    assert current_session(()) == ()


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_are_exact(moment):
    assert from_us(to_us(moment)) == moment
