import math

import numpy as np
import pytest

from training.drift import Drift, stability_index, too_much

STEADY = {
    "event_type_instability": 0.1,
    "unknown_items": 0.1,
    "fresh_ndcg_at_10_upper": 0.09,
    "fresh_ndcg_at_10": 0.08,
    "test_ndcg_at_10": 0.1,
}


def events(**counts):
    return np.array([kind for kind, count in counts.items() for _ in range(count)], dtype=object)


def test_the_stability_index_is_that_of_the_textbook():
    """Half an event is added to view, buy and whatever is rare: shares 60.5, 40.5, .5 and 40.5, 60.5, .5 of 101.5."""
    expected = 2 * (20 / 101.5) * math.log(60.5 / 40.5)
    assert stability_index(events(view=60, buy=40), events(view=40, buy=60)) == pytest.approx(expected)


def test_nothing_changes_where_shares_stay():
    assert stability_index(events(view=600, buy=400), events(view=60, buy=40)) == pytest.approx(0, abs=0.02)


def test_rare_kinds_that_come_and_go_say_nothing_each_for_itself():
    before = events(view=1_000, **{f"rare_{number}": 1 for number in range(50)})
    after = events(view=1_000, **{f"other_{number}": 1 for number in range(50)})
    assert stability_index(before, after) == 0


def test_without_events_nothing_has_changed():
    assert stability_index(events(view=3), events()) == 0


def test_a_steady_world_gives_no_reason():
    assert too_much(STEADY) == []
    assert Drift(STEADY, ()).reason is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event_type_instability": 0.3}, "event type instability 0.30, more than 0.25"),
        ({"unknown_items": 0.5}, "50% of the events are about unknown items"),
        (
            {"fresh_ndcg_at_10_upper": 0.079},
            "NDCG@10 on fresh events is surely below 0.0790, in the test it was 0.1000",
        ),
    ],
)
def test_what_is_too_much_is_named(change, reason):
    assert too_much(STEADY | change) == [reason]
