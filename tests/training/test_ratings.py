import numpy as np
import pytest

from training.ratings import Ratings, RatingSettings, fit_ratings, judge_ratings
from training.snapshot import Events, Popularity, Snapshot

NOTHING = Popularity(np.empty(0, np.int32), np.empty(0, np.int64), np.empty((0, 4), np.float32))


def ratings_of(rows: list[tuple[int, int, float]], n_items: int, n_training: int) -> Ratings:
    """Rows: user, item, rating, in order of time; after the first ``n_training`` they are to be foretold."""
    user, item, value = (np.array(column) for column in zip(*rows, strict=True))
    order = np.argsort(user, kind="stable")
    times = np.arange(len(rows), dtype=np.int64)[order]
    events = Events(
        user[order].astype(np.int32),
        item[order].astype(np.int32),
        times,
        times,
        np.zeros(len(rows), dtype=bool),
        np.ones(len(rows), dtype=np.int32),
    )
    ids = [f"i{number}" for number in range(n_items)]
    users = [f"u{number}" for number in range(int(user.max()) + 1)]
    is_training = times < n_training
    snapshot = Snapshot(n_training - 1, ids, ids, users, events, NOTHING, is_training, ~is_training)
    return Ratings(snapshot, value[order].astype(np.float32))


def test_biases_are_shrunk_means_of_what_is_left():
    # Mean 3; item 0 is rated 2 above it by two users, so 2·2 / (2 + 2) = 1 with two average ratings added.
    ratings = ratings_of([(0, 0, 5), (1, 0, 5), (0, 1, 1), (1, 1, 1), (0, 2, 3)], 3, 4)
    model = fit_ratings(ratings, np.zeros((3, 1), np.float32), RatingSettings(2.0, 1.0))
    assert model.mean == 3
    assert model.item_bias.tolist() == [1, -1, 0]
    # What is left of user 0: 5 − 4 = 1 and 1 − 2 = −1, so no bias of theirs.
    assert model.predict(ratings, ratings.targets(10, 0)).tolist() == [3]


def test_a_users_bias_is_that_of_the_moment():
    ratings = ratings_of([(0, 0, 2), (1, 0, 4), (2, 1, 5), (2, 2, 5)], 3, 2)
    model = fit_ratings(ratings, np.zeros((3, 1), np.float32), RatingSettings(np.inf, 1.0))
    # Mean 3 and nothing of items; user 2 is unknown at first, then has given one rating 2 above: 2 / (1 + 1).
    assert model.predict(ratings, ratings.targets(10, 0)).tolist() == [3, 4]


def test_a_regression_tells_liked_words_from_disliked_ones():
    rows = [(0, 0, 5), (0, 1, 5), (0, 2, 1), (0, 3, 1), (1, 0, 3), (1, 2, 3), (0, 4, 5), (0, 5, 1)]
    ratings = ratings_of(rows, 6, 6)
    texts = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1]], dtype=np.float32)
    liked, disliked = fit_ratings(ratings, texts, RatingSettings(10.0, 10.0, 0.1, 1.0)).predict(
        ratings, ratings.targets(10, 0)
    )
    assert liked > 4 > 2 > disliked


def test_a_prediction_stays_within_what_was_ever_given():
    # 13 / 3 on average, item 1 two thirds above it, user 0 one above that: 6.
    ratings = ratings_of([(0, 0, 5), (1, 0, 3), (1, 1, 5), (0, 1, 5)], 2, 3)
    model = fit_ratings(ratings, np.zeros((2, 1), np.float32), RatingSettings(0.0, 0.0))
    assert model.predict(ratings, ratings.targets(10, 0)).tolist() == [5]


@pytest.fixture(scope="module")
def planted() -> Ratings:
    """Sixty users who like one half of forty items; items differ in quality, users in kindness."""
    generator = np.random.default_rng(0)
    quality, kindness, taste = generator.normal(0, 0.5, 40), generator.normal(0, 0.5, 60), generator.choice([-1, 1], 60)
    rows = []
    for place in range(30):
        for user in range(60):
            item = (user * 7 + place * 11) % 40
            likes = taste[user] * (1 if item < 20 else -1)
            value = 3 + quality[item] + kindness[user] + 0.8 * likes + generator.normal(0, 0.2)
            rows.append((user, item, float(np.clip(np.round(value * 2) / 2, 0.5, 5))))
    return ratings_of(rows, 40, 1_200)


def test_the_plainer_the_answer_the_larger_the_error(planted):
    texts = np.zeros((40, 2), dtype=np.float32)
    texts[:20, 0], texts[20:, 1] = 1, 1
    rows = judge_ratings(planted, planted, (texts, texts), (500, 500), seed=0)
    errors = {row.model: row.rmse for row in rows}
    assert list(errors) == ["ridge", "biases", "mean"]
    assert errors["ridge"] < 0.7 * errors["biases"] < 0.7 * errors["mean"]
    for row in rows:
        assert row.rmse_low < row.rmse < row.rmse_high
        assert row.mae_low < row.mae < row.mae_high
        assert row.mae < row.rmse


def test_without_ratings_nothing_is_judged(world, word_vectors):
    snapshot = world.snapshot(world.cuts()[1], 0)
    ratings, vectors = Ratings.of(world, snapshot), word_vectors(snapshot.texts)
    assert len(ratings.values) == len(snapshot.events)
    assert judge_ratings(ratings, ratings, (vectors, vectors), (10, 10), seed=0) == []
