import numpy as np
import pytest

from training import metrics


def test_ranks_count_what_stands_before_the_target():
    scores = np.array([[0.1, 0.9, 0.5], [3.0, 1.0, 2.0]], dtype=np.float32)
    assert metrics.ranks(scores, np.array([2, 0]), np.zeros(2)).tolist() == [1, 0]


def test_ties_are_broken_by_luck_alone():
    scores = np.zeros((4, 4), dtype=np.float32)  # four equal items: each place is as likely
    assert metrics.ranks(scores, np.zeros(4, dtype=int), np.array([0.0, 0.3, 0.6, 0.99])).tolist() == [0, 1, 2, 3]


def test_two_targets_of_one_list_never_share_a_place():
    scores = np.zeros((2, 5), dtype=np.float32)
    for luck in (0.0, 0.3, 0.5, 0.99):
        first, second = metrics.ranks(scores, np.array([1, 4]), np.full(2, luck))
        assert (second - first) % 5 == 3


def test_excluded_items_stand_last():
    scores = np.array([[1.0, -np.inf, 2.0]], dtype=np.float32)
    assert metrics.ranks(scores, np.array([0]), np.array([0.5])).tolist() == [1]


def test_figures_of_the_first_the_third_and_the_eleventh_place():
    rank = np.array([0, 2, 10])
    assert metrics.ndcg(rank, 10).tolist() == pytest.approx([1.0, 0.5, 0.0])  # 1/log2(2), 1/log2(4)
    assert metrics.recall(rank, 10).tolist() == [1.0, 1.0, 0.0]
    assert metrics.mrr(rank, 10).tolist() == pytest.approx([1.0, 1 / 3, 0.0])


def test_figures_of_a_list_with_three_targets():
    # Places 1, 3 and 12 of the first list, 1 and 2 of the second.
    figures = metrics.list_figures(np.array([0, 11, 2, 1, 0]), np.array([0, 0, 0, 1, 1]), 10)
    expected = {
        "ndcg": [(1 + 1 / 2) / (1 + 1 / np.log2(3) + 1 / 2), 1],
        "recall": [2 / 3, 1],
        "precision": [0.2, 0.2],
        "f1": [2 * 0.2 * (2 / 3) / (0.2 + 2 / 3), 2 * 0.2 / 1.2],
        "mrr": [1, 1],
        "map": [(1 / 1 + 2 / 3) / 3, 1],
        "hit_rate": [1, 1],
    }
    assert figures.keys() == expected.keys()
    for name, values in expected.items():
        assert figures[name].tolist() == pytest.approx(values), name


def test_more_targets_than_places_can_still_be_ideal():
    figures = metrics.list_figures(np.array([0, 1, 7]), np.zeros(3, dtype=int), 2)
    assert figures["ndcg"].tolist() == figures["map"].tolist() == [1]
    assert figures["recall"].tolist() == pytest.approx([2 / 3])


def test_a_list_without_hits_is_worth_nothing():
    assert {
        name: value.tolist() for name, value in metrics.list_figures(np.array([10]), np.array([0]), 10).items()
    } == {name: [0] for name in ("ndcg", "recall", "precision", "f1", "mrr", "map", "hit_rate")}


def test_with_one_target_lists_have_the_figures_of_events():
    rank, k = np.array([0, 3, 9, 10]), 10
    figures = metrics.list_figures(rank, np.arange(4), k)
    assert figures["ndcg"].tolist() == metrics.ndcg(rank, k).tolist()
    assert figures["map"].tolist() == figures["mrr"].tolist() == metrics.mrr(rank, k).tolist()
    assert figures["recall"].tolist() == figures["hit_rate"].tolist() == metrics.recall(rank, k).tolist()


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
