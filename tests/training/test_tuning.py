"""What is chosen for users of whom nothing is known, and what halves of a validation are."""

import numpy as np
import pytest

from training.blend import REGIMES
from training.history import Recency
from training.llm_recommender import HEADS, LLMRecommender
from training.neighbours import Neighbours
from training.snapshot import Events, Popularity, Snapshot, Targets
from training.tuning import NO_HISTORY, beginnings, choose_without_history, in_first_half

V, DAY = 80, 86_400 * 10**6


def world(items_of_users, is_training=True):
    """Each user's items, a day apart. Of all time item 0 leads, then 1 …; what is met this month is drawn by chance."""
    user = np.repeat(np.arange(len(items_of_users)), [len(items) for items in items_of_users]).astype(np.int32)
    item = np.concatenate(items_of_users).astype(np.int32)
    times = (np.arange(len(item)) + 10) * DAY
    none = np.zeros(len(item), dtype=bool)
    events = Events(user, item, times, times, none, np.zeros(len(item), dtype=np.int32))
    counts = np.random.default_rng(0).integers(1, 50, (V, 4)).astype(np.float32)
    counts[:, 3] = 2.0 ** -np.arange(V) * 1e6
    popularity = Popularity(np.arange(V, dtype=np.int32), np.zeros(V, dtype=np.int64), counts)
    ids = [f"i{number}" for number in range(V)]
    users = [f"u{number}" for number in range(len(items_of_users))]
    return Snapshot(int(times[-1]), ids, ids, users, events, popularity, none | is_training, none)


def recommender(snapshot):
    nothing = Neighbours(np.zeros((V, 1), dtype=np.int32), np.zeros((V, 1), dtype=np.float32))
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    vectors = np.zeros((V, 2), dtype=np.float32)
    table = snapshot.latest_popularity
    return LLMRecommender(snapshot.item_ids, vectors, table, nothing, nothing, None, weights, Recency(), (0.5,) * 5)


def test_a_beginning_is_the_first_event_of_a_user_the_newest_ones_in_order_of_time():
    snapshot = world([[5, 6], [7], [8, 9, 5]])
    found = beginnings(snapshot, 2)
    assert found.rows.tolist() == [2, 3]
    assert found.item.tolist() == [7, 8]
    assert not snapshot.histories(found).lengths.any()


def test_what_may_not_be_learned_from_is_no_beginning():
    assert len(beginnings(world([[5, 6], [7]], is_training=False), 10)) == 0


def test_strangers_get_the_trends_that_suited_all_who_began_before():
    dice = np.random.default_rng(0)
    snapshot = world([[int(dice.geometric(0.5)) - 1] for _ in range(150)])
    weights = dict(zip(HEADS, choose_without_history(recommender(snapshot), snapshot, 100, seed=0), strict=True))
    assert weights["trend_all"] > 0
    assert weights["trend_all"] > max(weights["trend_1d"], weights["trend_7d"])
    assert not any(weight for head, weight in weights.items() if not head.startswith("trend"))


def test_where_hardly_anybody_has_begun_strangers_get_the_usual_trends():
    snapshot = world([[0]] * 20)
    weights = dict(zip(HEADS, choose_without_history(recommender(snapshot), snapshot, 100, seed=0), strict=True))
    assert {head: weight for head, weight in weights.items() if weight} == pytest.approx(NO_HISTORY)


def test_halves_are_of_the_period_and_of_the_users_where_all_is_asked_for_at_once():
    users = np.arange(10, dtype=np.int32) // 2
    later = Targets(np.arange(10), users, users, np.arange(10) * DAY)
    assert in_first_half(later, seed=0).tolist() == [True] * 5 + [False] * 5
    at_once = in_first_half(Targets(np.arange(10), users, users, np.full(10, DAY)), seed=0)
    assert at_once.sum() == 4
    assert np.array_equal(at_once[::2], at_once[1::2])  # both lists of a user are in one half
