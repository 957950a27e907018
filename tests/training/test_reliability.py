import numpy as np
import pytest

from training.reliability import N_PARTS, SHARPNESS, Part, Reliability, parts_of, plot_reliability, reliability_of
from training.snapshot import Snapshot


@pytest.fixture(scope="module")
def snapshot(world) -> Snapshot:
    return world.snapshot(world.cuts()[1], seed=0)


class Indifferent:
    """Every item alike: each is met next with the same chance."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.n_items = snapshot.n_items

    def score_batch(self, batch, tables, table_of):
        return np.zeros((len(batch), self.n_items), dtype=np.float32)


class Prophet:
    """Knows what is met next, and says so by two: exp(2) to 1 against every other item."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.n_items = snapshot.n_items
        self.rows = iter(snapshot.targets().item)  # asked for in this order

    def score_batch(self, batch, tables, table_of):
        scores = np.zeros((len(batch), self.n_items), dtype=np.float32)
        for row in range(len(batch)):
            scores[row, next(self.rows)] = 2
        return scores


def test_parts_hold_as_many_places_each_and_their_means():
    shares = np.arange(20) / 100
    hits = np.arange(20) % 4 == 3  # the second of every other part of two
    parts = parts_of(shares, hits, np.arange(20, dtype=np.int32), seed=0)
    assert [part.n_places for part in parts] == [2] * N_PARTS
    assert [part.predicted for part in parts] == pytest.approx([0.005 + 0.02 * part for part in range(10)])
    assert [part.observed for part in parts] == [0, 0.5] * 5
    assert all(part.low <= part.observed <= part.high for part in parts)


def test_the_expected_error_is_the_mean_distance_over_places():
    parts = [Part(0.1, 0.2, 0, 1, n_places=30), Part(0.5, 0.3, 0, 1, n_places=10)]
    assert Reliability(1.0, parts).expected_error == pytest.approx((30 * 0.1 + 10 * 0.2) / 40)


def test_who_makes_no_difference_promises_no_more_than_chance(snapshot):
    found = reliability_of(Indifferent(snapshot), snapshot, snapshot.targets(), seed=0)
    for part in found.parts:
        assert 1 / snapshot.n_items <= part.predicted <= 2 / snapshot.n_items  # over what the user has not met


def test_who_is_always_right_is_given_the_sharpest_softmax(snapshot):
    found = reliability_of(Prophet(snapshot), snapshot, snapshot.targets(), seed=0)
    assert found.sharpness == SHARPNESS[-1]
    # One place in ten is the target's, with a share of nearly 1; the others have next to none, and are never met.
    assert found.parts[-1].observed == 1
    assert found.parts[-1].predicted > 0.99
    assert found.parts[0].observed == 0
    assert found.expected_error < 0.01


def test_the_plot_shows_each_part(snapshot):
    found = reliability_of(Prophet(snapshot), snapshot, snapshot.targets(), seed=0)
    (axes,) = plot_reliability(found).axes
    assert len(axes.lines[1].get_xdata()) == N_PARTS
    assert "expected error" in axes.get_title()
