"""Variety in a list, worked by hand: two equal things, one like them, one that is different."""

import numpy as np
import pytest

from serving.diversity import diversified

# Directions at 0°, 0°, 60° and 90° from the first: likeness 1, ½ and 0.
VECTORS = np.array([[1, 0], [1, 0], [0.5, 0.75**0.5], [0, 1]], dtype=np.float32)
SCORES = np.array([4, 3, 2, 0], dtype=np.float32)  # relevance 1, ¾, ½, 0


@pytest.mark.parametrize(
    ("diversity", "expected"),
    [
        (0.0, [0, 1, 2, 3]),
        # After 0: ½·¾ − ½·1 = −⅛, ½·½ − ½·½ = 0 (next), 0. Then −⅛ for 1, and −½·.87 for 3, which is like 2.
        (0.5, [0, 2, 1, 3]),
        # After 0: .15 − .8, .1 − .4 and 0 (next). Then 1 at −.65 and 2 at .1 − .8·.87 = −.59 (next).
        (0.8, [0, 3, 2, 1]),
        (1.0, [0, 3, 2, 1]),
    ],
)
def test_each_line_weighs_its_score_against_its_likeness_to_those_above(diversity, expected):
    assert diversified(SCORES, VECTORS, 4, diversity).tolist() == expected


def test_a_shorter_list_is_the_beginning_of_a_longer_one():
    assert diversified(SCORES, VECTORS, 2, 0.8).tolist() == [0, 3]


def test_equal_scores_and_empty_pools_are_lists_too():
    assert diversified(np.ones(3, dtype=np.float32), VECTORS[:3], 9, 0.5).tolist() == [0, 2, 1]
    assert diversified(np.empty(0, dtype=np.float32), VECTORS[:0], 3, 0.5).tolist() == []
