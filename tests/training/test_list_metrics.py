import numpy as np
import pytest

from training import list_metrics


def test_coverage_counts_each_shown_item_once():
    assert list_metrics.coverage(np.array([[0, 1], [1, 2]]), 6) == 0.5


def test_gini_is_nothing_when_all_are_shown_alike_and_most_when_one_is():
    assert list_metrics.gini(np.array([[0, 1], [2, 3]]), 4) == 0
    assert list_metrics.gini(np.array([[0], [0], [0]]), 4) == pytest.approx(3 / 4)  # (2·4 − 4 − 1)·3 / (4·3)
    assert list_metrics.gini(np.array([[0, 1], [0, 2]]), 3) == pytest.approx((-2 * 1 + 0 * 1 + 2 * 2) / (3 * 4))


def test_novelty_is_bits_of_rarity():
    # Counts with one added: 4, 2, 1, 1 of 8, so 1, 2, 3 and 3 bits.
    assert list_metrics.novelty(np.array([[0, 1], [2, 3]]), np.array([3, 1, 0, 0])) == pytest.approx(
        (1 + 2 + 3 + 3) / 4
    )


def test_the_tail_is_the_least_met_items_that_hold_a_fifth_together():
    assert list_metrics.in_tail(np.array([50, 10, 30, 10, 0])).tolist() == [False, True, False, True, True]
    assert list_metrics.in_tail(np.array([100, 0])).tolist() == [False, True]


def test_diversity_is_one_less_the_cosine_of_pairs():
    vectors = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    # Pairs of the first list: 0·1 → 1, 0·2 → 2, 1·2 → 1; of the second all alike.
    assert list_metrics.diversity(np.array([[0, 1, 2], [1, 1, 1]]), vectors) == pytest.approx((4 / 3 + 0) / 2)
    assert list_metrics.diversity(np.array([[0]]), vectors) == 0


def test_serendipity_is_right_and_not_what_popularity_shows():
    is_hit = np.array([[True, True, False], [False, False, True]])
    shown, usual = np.array([[0, 1, 2], [3, 4, 5]]), np.array([[1, 2, 3], [0, 1, 2]])
    assert list_metrics.serendipity(is_hit, shown, usual) == pytest.approx(
        2 / 6
    )  # item 0 of the first, 5 of the second


def test_popularity_lift_compares_with_what_the_user_had_met():
    counts = np.array([10, 20, 30])
    met = np.array([[-1, 0, 1], [-1, -1, -1]], dtype=np.int32)  # 15 on average; a user without history falls out
    assert list_metrics.popularity_lift(np.array([[2, 2], [0, 0]]), met, counts) == pytest.approx(30 / 15 - 1)


def test_calibration_is_the_divergence_of_the_lists_categories():
    categories = list_metrics.category_shares([["a"], ["b"], ["a", "b"], None])
    assert categories.tolist() == [[1, 0], [0, 1], [0.5, 0.5], [0, 0]]
    met = np.array([[-1, 0, 1]], dtype=np.int32)
    assert list_metrics.calibration(np.array([[2, 2]]), met, categories) == pytest.approx(0)
    # Half of each wanted, all of a given: q = (.99 + .005, .005).
    expected = 0.5 * np.log(0.5 / 0.995) + 0.5 * np.log(0.5 / 0.005)
    assert list_metrics.calibration(np.array([[0, 3]]), met, categories) == pytest.approx(expected)
    assert list_metrics.calibration(np.array([[0]]), np.array([[-1]], dtype=np.int32), categories) == 0
