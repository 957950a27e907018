import numpy as np
import pytest

from training.baselines import FewUsersEase, ManyUsersEase, Popularity, best_of, fit_ease, fit_item_knn, history_matrix
from training.evaluate import Each, evaluate
from training.history import HistoryBatch, Recency
from training.item_item import user_rows
from training.snapshot import Events
from training.stages import fit_baselines
from training.tuning import BaselineChoices

EVEN = Recency(0.5, 1.0, 1.0)


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


def test_of_equals_the_first_is_best():
    assert best_of(["a", "bb", "cc"], len) == ("bb", 2)


def test_learned_baselines_beat_popularity_on_planted_topics(world):
    snapshot = world.snapshot(world.cuts()[0], 0)
    targets = snapshot.targets()
    models = fit_baselines(snapshot, BaselineChoices(10.0, 0.8, 10.0, 0.8))
    quality = {name: evaluate(Each(models), snapshot, targets, 0).ndcg(name).mean() for name in models}
    random_order = np.mean([1 / np.log2(place + 2) if place < 10 else 0 for place in range(snapshot.n_items - 10)])
    assert min(quality["ease"], quality["item_knn"]) > 1.5 * quality["popularity"]
    assert min(quality["ease"], quality["item_knn"]) > 2 * random_order
    assert set(quality) == {"popularity", "popularity_7d", "item_knn", "ease"}
