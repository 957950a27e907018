"""The growth of training is measured as it should be."""

import numpy as np
import pytest

from benchmarks.item_item import EVENTS_PER_USER, made_up_events
from benchmarks.train import exponent


def test_the_exponent_of_a_straight_line_is_one_and_of_a_square_two():
    sizes = [10, 100, 1_000]
    assert exponent(sizes, [0.5, 5, 50]) == pytest.approx(1)
    assert exponent(sizes, [1, 100, 10_000]) == pytest.approx(2)
    assert exponent(sizes, [7, 7, 7]) == pytest.approx(0)


def test_made_up_events_are_sorted_by_user_and_stay_inside_the_catalogue():
    events = made_up_events(3 * EVENTS_PER_USER, n_items=301)
    assert np.bincount(events.user).tolist() == [EVENTS_PER_USER] * 3
    assert (np.diff(events.user) >= 0).all()
    assert events.item.min() >= 0
    assert events.item.max() < 301
    assert (np.diff(events.occurred_at[:EVENTS_PER_USER]) > 0).all()
