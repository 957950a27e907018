import numpy as np
import pyarrow as pa
import pytest

from training.comparison import PairedScores, PerUser, holm, lift, p_value, trivial_baselines


def scores(ours: list[float], theirs: list[float], n_events: list[int]) -> PairedScores:
    return PairedScores(np.array(ours), np.array(theirs), np.array(n_events))


def test_lift_is_relative_and_counts_events():
    # ours: (0.4·1 + 0.1·3) / 4 = .175; theirs: (0.2·1 + 0.1·3) / 4 = .125; .175 / .125 = 1.4
    found = lift(scores([0.4, 0.1], [0.2, 0.1], [1, 3]))
    assert found.mean == pytest.approx(0.4)
    assert (found.n_users, found.n_events) == (2, 4)


def test_the_interval_spans_what_users_drawn_anew_can_give():
    # Two users: both times the first (+100 %), once each (+50 %), both times the second (0 %).
    found = lift(scores([0.2, 0.1], [0.1, 0.1], [1, 1]))
    assert (found.low, found.mean, found.high) == pytest.approx((0, 0.5, 1))


def test_equal_models_differ_by_nothing():
    found = lift(scores([0.3, 0.0, 0.1], [0.3, 0.0, 0.1], [2, 1, 5]))
    assert (found.low, found.mean, found.high) == (0, 0, 0)


def test_a_steady_gain_is_sure_where_a_lucky_one_is_not():
    generator = np.random.default_rng(0)
    theirs = generator.uniform(0, 0.2, size=400)
    steady = lift(PairedScores(theirs + 0.005, theirs, np.ones(400, dtype=np.int64)))
    lucky = lift(PairedScores(generator.permutation(theirs) + 0.005, theirs, np.ones(400, dtype=np.int64)))
    assert steady.mean == pytest.approx(lucky.mean)
    assert lucky.low < 0 < steady.low < steady.mean < steady.high < lucky.high


def test_the_same_seed_gives_the_same_interval():
    some = scores([0.3, 0.2, 0.1, 0.5], [0.1, 0.2, 0.2, 0.3], [1, 2, 3, 4])
    assert lift(some, seed=1) == lift(some, seed=1)


def test_against_nothing_any_hit_is_endlessly_better():
    assert lift(scores([0.1], [0.0], [1])).mean == np.inf
    assert lift(scores([0.0], [0.0], [1])).mean == 0


def test_users_are_paired_by_name_within_a_slice():
    table = pa.table(
        {
            "model": ["a", "a", "b", "b", "b", "a"],
            "slice": ["all", "all", "all", "all", "all", "cold"],
            "user_id": ["u1", "u2", "u3", "u2", "u1", "u1"],
            "n_events": [1, 2, 9, 2, 1, 1],
            "ndcg_at_10": [0.1, 0.2, 0.9, 0.4, 0.3, 0.0],
        }
    )
    results = PerUser.from_table(table)
    paired = results.pair("a", results, "b")
    assert paired is not None
    assert paired.ours.tolist() == [0.1, 0.2]
    assert paired.theirs.tolist() == [0.3, 0.4]
    assert paired.n_events.tolist() == [1, 2]
    assert results.pair("a", results, "b", "cold") is None


def test_without_a_slice_column_every_row_is_the_whole():
    table = pa.table({"model": ["a"], "user_id": ["u"], "n_events": [1], "ndcg_at_10": [0.5]})
    results = PerUser.from_table(table)
    assert results.pair("a", results, "a") is not None


def test_popularity_of_any_window_is_trivial():
    assert trivial_baselines(["ease", "popularity_7d", "popularity", "recommender"]) == ["popularity", "popularity_7d"]


def test_a_p_value_counts_the_rarer_side_twice_and_is_never_nothing():
    assert p_value(np.array([0.1] * 97 + [-0.1] * 2)) == pytest.approx(2 * 3 / 100)
    assert p_value(np.array([0.1] * 99)) == pytest.approx(2 * 1 / 100)
    assert p_value(np.zeros(99)) == 1


def test_holm_asks_most_of_the_smallest():
    # 3 · .01, then 2 · .02 = .04, then 1 · .03, which may not lie below the one before it.
    assert holm({"a": 0.02, "b": 0.01, "c": 0.03}) == pytest.approx({"b": 0.03, "a": 0.04, "c": 0.04})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
