import numpy as np
import pytest

from training.baselines import (
    FewUsersEase,
    ManyUsersEase,
    OwnHistory,
    Popularity,
    TextNeighbours,
    WithFallback,
    WithTrend,
    evenly,
    fit_ease,
    fit_item_knn,
    history_matrix,
)
from training.history import HistoryBatch
from training.item_item import user_rows
from training.snapshot import Events

EVEN = evenly(1.0)


def events(n_users: int, n_items: int, seed: int = 0) -> Events:
    pairs = np.argwhere(np.random.default_rng(seed).random((n_users, n_items)) < 0.4)
    user, item = pairs.T.astype(np.int32)
    times = np.arange(len(user), dtype=np.int64)
    return Events(user, item, times, times, np.zeros(len(user), dtype=bool), np.ones(len(user), dtype=np.int32))


def batch(*histories: list[int]) -> HistoryBatch:
    width = max(map(len, histories))
    items = np.array([[-1] * (width - len(items)) + items for items in histories], dtype=np.int32)
    return HistoryBatch(items, np.zeros_like(items, dtype=np.int64), np.zeros(len(items), dtype=np.int64))


def naive_ease(met: Events, n_items: int, ridge: float) -> np.ndarray:
    rows = user_rows(met, n_items).toarray()
    inverse = np.linalg.inv(rows.T @ rows + ridge * np.eye(n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize(("n_users", "kind"), [(4, FewUsersEase), (30, ManyUsersEase)])
def test_ease_is_its_closed_form_with_few_and_with_many_users(n_users: int, kind: type):
    met = events(n_users, 12)
    model = fit_ease(met, 12, 3.0, EVEN)
    assert isinstance(model, kind)
    asked = batch([0, 3], [5], [1, 2, 11])
    expected = history_matrix(asked, EVEN, 12).toarray() @ naive_ease(met, 12, 3.0)
    assert np.allclose(model.score_batch(asked, np.empty(0), np.empty(0)), expected, atol=1e-4)


def test_item_knn_is_the_cosine_of_common_users():
    user, item = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 2]], dtype=np.int32).T
    times = np.arange(6, dtype=np.int64)
    met = Events(user, item, times, times, np.zeros(6, dtype=bool), np.ones(6, dtype=np.int32))
    scores = fit_item_knn(met, 3, 0.0, EVEN).score_batch(batch([0]), np.empty(0), np.empty(0))
    # item 0 has three users, item 1 two of them, item 2 one; half the weight since a is .5
    assert scores[0].tolist() == pytest.approx([0, 0.5 * 2 / np.sqrt(6), 0.5 * 1 / np.sqrt(3)])


def test_popularity_is_the_same_for_all_on_one_day():
    tables = np.arange(16, dtype=np.float32).reshape(2, 2, 4)  # two days, two items
    scores = Popularity(column=1).score_batch(batch([0], [1], [1]), tables, np.array([0, 1, 1]))
    # the week's counts 1 and 5, then 9 and 13; all time 3 and 7, then 11 and 15, as a share of one more than the most
    assert scores.tolist() == [[1 + 3 / 8, 5 + 7 / 8], [9 + 11 / 16, 13 + 15 / 16], [9 + 11 / 16, 13 + 15 / 16]]


def test_what_nobody_met_this_week_is_ranked_by_all_time():
    tables = np.array([[[0, 0, 0, 5], [0, 0, 0, 9], [0, 1, 1, 1]]], dtype=np.float32)
    scores = Popularity(column=1).score_batch(batch([0]), tables, np.zeros(1, dtype=np.int64))
    assert np.argsort(-scores[0]).tolist() == [2, 1, 0]


def test_an_item_listens_to_its_nearest_items_alone():
    # Item 0 meets items 1, 2 and 3 in 2, 1 and 1 users: its nearest one is item 1, and it listens to no other.
    user, item = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 2], [3, 0], [3, 3]], dtype=np.int32).T
    times = np.arange(8, dtype=np.int64)
    met = Events(user, item, times, times, np.zeros(8, dtype=bool), np.ones(8, dtype=np.int32))
    model = fit_item_knn(met, 4, 0.0, EVEN, neighbours=1)
    assert (model.weights.toarray()[:, 0] > 0).tolist() == [False, True, False, False]
    assert (model.weights.toarray()[0] > 0).tolist() == [False, True, True, True]


def test_text_speaks_for_what_reads_alike():
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    scores = TextNeighbours(vectors, evenly(0.5)).score_batch(batch([2, 0]), np.empty(0), np.empty(0))
    assert scores.tolist() == [[0.5, 0.5, 0.25]]  # the newest half, the one before it half of that


def test_what_was_bought_before_comes_before_what_is_popular():
    tables = np.zeros((1, 3, 4), dtype=np.float32)
    tables[0, :, 3] = [5, 1, 3]
    scores = OwnHistory(EVEN).score_batch(batch([1, 1, 2], []), tables, np.zeros(2, dtype=np.int64))
    assert np.argsort(-scores).tolist() == [[1, 2, 0], [0, 2, 1]]


def test_an_item_met_again_counts_once_by_its_newest_time():
    assert history_matrix(batch([2, 0, 2]), evenly(0.5), 3).toarray().tolist() == [[0.25, 0, 0.5]]


def test_users_without_history_are_shown_what_is_popular():
    tables = np.zeros((1, 3, 4), dtype=np.float32)
    tables[0, :, 1] = [1, 5, 3]
    model = WithFallback(TextNeighbours(np.eye(3, dtype=np.float32), EVEN), 1)
    scores = model.score_batch(batch([0], []), tables, np.zeros(2, dtype=np.int64))
    assert scores[0].tolist() == [0.5, 0, 0]
    assert np.argsort(-scores[1]).tolist() == [1, 2, 0]


def test_a_trend_is_added_in_units_of_the_models_spread():
    class Fixed:
        def score_batch(self, batch, tables, table_of):
            return np.array([[2.0, 0.0], [0.0, 0.0]], dtype=np.float32)  # a spread of 1, then none

    tables = np.zeros((1, 2, 4), dtype=np.float32)
    tables[0, :, 1] = [0, 1]
    scores = WithTrend(Fixed(), 3.0, 1).score_batch(batch([0], []), tables, np.zeros(2, dtype=np.int64))
    assert scores.tolist() == pytest.approx(np.array([[2.0, 3 * np.log(2)], [0.0, 3 * np.log(2)]]))
