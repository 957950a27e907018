import numpy as np
import pytest

from training import metrics


def test_ranks_count_what_stands_before_the_target():
    scores = np.array([[0.1, 0.9, 0.5], [3.0, 1.0, 2.0]], dtype=np.float32)
    assert metrics.ranks(scores, np.array([2, 0]), np.zeros(2)).tolist() == [1, 0]


def test_ties_are_broken_by_luck_alone():
    scores = np.zeros((4, 4), dtype=np.float32)  # four equal items: each place is as likely
    assert metrics.ranks(scores, np.zeros(4, dtype=int), np.array([0.0, 0.3, 0.6, 0.99])).tolist() == [0, 1, 2, 3]


def test_excluded_items_stand_last():
    scores = np.array([[1.0, -np.inf, 2.0]], dtype=np.float32)
    assert metrics.ranks(scores, np.array([0]), np.array([0.5])).tolist() == [1]


def test_figures_of_the_first_the_third_and_the_eleventh_place():
    rank = np.array([0, 2, 10])
    assert metrics.ndcg(rank, 10).tolist() == pytest.approx([1.0, 0.5, 0.0])  # 1/log2(2), 1/log2(4)
    assert metrics.recall(rank, 10).tolist() == [1.0, 1.0, 0.0]
    assert metrics.mrr(rank, 10).tolist() == pytest.approx([1.0, 1 / 3, 0.0])


def test_coverage_counts_each_shown_item_once():
    assert metrics.coverage(np.array([[0, 1], [1, 2]]), 6) == 0.5


def test_top_items_are_best_first():
    assert metrics.top_items(np.array([[1.0, 3.0, 2.0]], dtype=np.float32), 2).tolist() == [[1, 2]]


def test_resampling_one_user_gives_that_users_mean():
    values = np.array([[0.0], [1.0]])
    assert metrics.bootstrap_means(values, np.array([7, 7]), 50, seed=0).ravel() == pytest.approx(np.full(50, 0.5))


def test_users_are_drawn_with_all_their_events():
    values = np.array([[1.0], [1.0], [1.0], [0.0]])  # user 1 has three hits, user 2 one miss
    means = metrics.bootstrap_means(values, np.array([1, 1, 1, 2]), 2_000, seed=0).ravel()
    assert set(np.round(means, 6)) == {0.0, 0.75, 1.0}  # both twice the same, or one of each


def test_differences_are_paired():
    values = np.random.default_rng(0).random((200, 1))
    means = metrics.bootstrap_means(np.hstack([values, values + 0.1]), np.arange(200), 500, seed=0)
    assert metrics.interval(means[:, 1] - means[:, 0]) == pytest.approx((0.1, 0.1))
