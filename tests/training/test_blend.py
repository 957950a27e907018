import numpy as np
import pytest

from training.blend import (
    REGIMES,
    collect_candidates,
    fit_blend,
    normalise,
    own_weights,
    regime_of,
    search_weights,
)
from training.history import History, HistoryBatch
from training.newness import TEXT_NEW

V, M = 50, 600


def candidates(good_in: dict[str, list[int]], *, seed: int = 0):
    """Events whose target a head puts first in the regimes where it is good, and nowhere in particular elsewhere."""
    dice = np.random.default_rng(seed)
    regime = 1 + np.arange(M) % 2
    targets = dice.integers(0, V, M).astype(np.int32)
    scores = {}
    for head, regimes in good_in.items():
        values = dice.normal(size=(M, V)).astype(np.float32)
        knows = np.isin(regime, regimes) & (dice.random(M) < 0.8)
        values[knows, targets[knows]] += 5
        scores[head] = normalise(values)
    nothing_seen = [np.empty(0, dtype=np.int32)] * M
    return collect_candidates([(scores, nothing_seen, targets)], regime, seed, per_head=20)


def fit(found, is_unmet=None):
    nobody_new = np.zeros(M, dtype=bool)
    without_history = np.zeros(len(found.heads), dtype=np.float32)
    return fit_blend(found, without_history, np.arange(M) < M // 2, nobody_new if is_unmet is None else is_unmet, 0)


def test_normalised_scores_have_no_unit_and_keep_their_order():
    scores = np.array([[1.0, 2.0, 3.0, 10.0]], dtype=np.float32)
    assert np.allclose(normalise(scores), normalise(1_000 * scores + 7), atol=1e-5)
    assert normalise(scores)[0].argsort().tolist() == [0, 1, 2, 3]


def test_normalised_scores_are_logarithms_of_z_scores():
    # mean 1, standard deviation 1: z = −1, 1
    assert normalise(np.array([0.0, 2.0], dtype=np.float32)).tolist() == pytest.approx([-np.log(2), np.log(2)])


def test_a_row_that_says_nothing_stays_zero():
    assert not normalise(np.full((2, 5), 3.0, dtype=np.float32)).any()


def test_the_regime_is_where_in_a_session():
    now, week = 10**15, 7 * 86_400 * 10**6

    def history(length: int, last: int) -> History:
        return History(np.zeros(length, dtype=np.int32), np.full(length, last, dtype=np.int64))

    moments = [history(0, 0), history(9, now - week), history(1, now)]
    assert [REGIMES[number] for number in regime_of(HistoryBatch.of(moments, [now] * 3))] == list(REGIMES)


def test_the_head_that_knows_gets_the_weight():
    found = candidates({"noise": [], "knows": [1, 2], "more_noise": []})
    weights = dict(zip(found.heads, search_weights(found), strict=True))
    assert weights["knows"] == 1
    assert abs(weights["noise"]) <= 0.1
    assert abs(weights["more_noise"]) <= 0.1


def test_what_one_event_alone_speaks_for_counts_only_in_the_samples_that_it_is_in():
    """Of 100 targets "steady" puts all but one first, and "rare" that one: a gain of .01, more than what is noise.

    A sample of 100 lacks it with probability .99 ** 100 = .37, and then nothing speaks for "rare".
    """
    steady, rare = (np.zeros((100, V), dtype=np.float32) for _ in range(2))
    steady[1:, 0] = 1
    steady[0, 1:] = 0.5
    rare[0, 0] = 9
    nothing_seen = [np.empty(0, dtype=np.int32)] * 100
    chunk = ({"steady": steady, "rare": rare}, nothing_seen, np.zeros(100, dtype=np.int32))
    found = collect_candidates([chunk], np.ones(100, dtype=np.int64), seed=0)
    alone = search_weights(found)
    assert alone.tolist() == pytest.approx([1, 0.1])
    weights = own_weights(found, np.array([1, 0], dtype=np.float32), seed=0)
    assert weights[0] == 1
    assert 0 < weights[1] < alone[1]
    assert weights.tolist() == own_weights(found, np.array([1, 0], dtype=np.float32), seed=0).tolist()


def test_regimes_get_weights_of_their_own_where_it_helps_in_the_other_half_of_the_period_too():
    found = candidates({"of_starts": [1], "of_insides": [2]})
    blend = fit(found)
    table = blend.table()
    assert table["start"]["of_starts"] > table["start"].get("of_insides", 0)
    assert table["inside"]["of_insides"] > table["inside"].get("of_starts", 0)
    assert blend.report["by_regime"] > blend.report["fixed"]


def test_without_differences_between_regimes_one_set_of_weights_serves_all():
    blend = fit(candidates({"knows": [1, 2], "noise": []}))
    assert all(blend.table()[regime].get("knows") == 1 for regime in REGIMES[1:])


def test_of_weights_that_validation_cannot_tell_apart_those_that_lift_new_items_are_taken():
    dice = np.random.default_rng(0)
    targets = dice.integers(0, V // 2, M).astype(np.int32)  # of the old items
    knows = dice.normal(size=(M, V)).astype(np.float32)
    knows[np.arange(M), targets] += 9
    about_new = np.abs(dice.normal(size=(M, V))).astype(np.float32) * (np.arange(V) >= V // 2)
    scores = {"knows": normalise(knows), TEXT_NEW: about_new}
    nothing_seen = [np.empty(0, dtype=np.int32)] * M
    found = collect_candidates([(scores, nothing_seen, targets)], 1 + np.arange(M) % 2, seed=0)
    blend = fit(found)
    assert all(blend.table()[regime][TEXT_NEW] > 0 for regime in REGIMES[1:])
    assert blend.report["by_regime"] * (1 - 0.003) <= blend.report["favouring_new"] <= blend.report["by_regime"]
    more = blend.weights.copy()
    more[1:, 1] += 1.0  # and not one step more than costs nothing
    assert found.quality_of(more) < blend.report["favouring_new"]


def test_new_items_may_cost_more_where_new_items_are_looked_for():
    """Of 300 targets of each kind, all in first place, a new item overtakes 3 from .35, and 20 more from 1.

    One that is overtaken costs 1 − 1 / log2(3) = .369: three cost .0037 of the whole, more than the .003 that are noise
    anyway, and less than four times the .01 of the targets that are new; all 23 cost .028, more than ever is paid.
    """
    targets = np.zeros(M, dtype=np.int32)
    knows, about_new = (np.zeros((M, V), dtype=np.float32) for _ in range(2))
    knows[:, 0] = 1
    for kind in (np.arange(M) % 2 == 0, np.arange(M) % 2 == 1):
        overtaken = np.flatnonzero(kind)
        about_new[overtaken[:3], V - 1] = 4
        about_new[overtaken[3:23], V - 1] = 1.5
    nothing_seen = [np.empty(0, dtype=np.int32)] * M
    scores = {"knows": knows, TEXT_NEW: about_new}
    found = collect_candidates([(scores, nothing_seen, targets)], 1 + np.arange(M) % 2, seed=0)
    assert fit(found).weights[1:, 1] == pytest.approx([0.2] * 2)
    for share in (0.01, 1.0):
        assert fit(found, np.arange(M) < share * M).weights[1:, 1] == pytest.approx([0.6] * 2)


def test_new_items_are_not_lifted_where_they_are_not_to_be_favoured():
    found = candidates({"knows": [1, 2], TEXT_NEW: []})
    blend = fit_blend(found, np.zeros(2, dtype=np.float32), np.arange(M) < M // 2, None, 0)
    assert not blend.weights[:, 1].any()
    assert "favouring_new" not in blend.report


def test_users_without_history_get_the_weights_that_were_found_for_them():
    found = candidates({"item_item": [1, 2], "trend_7d": []})
    blend = fit_blend(found, np.array([0, 0.5], dtype=np.float32), np.arange(M) < M // 2, np.zeros(M, dtype=bool), 0)
    assert blend.table()["no_history"] == {"trend_7d": 0.5}


def test_seen_items_and_the_target_itself_are_no_rivals():
    scores = {"only": np.array([[3.0, 2.0, 1.0, 0.0]], dtype=np.float32)}
    found = collect_candidates(
        [(scores, [np.array([0], dtype=np.int32)], np.array([2], dtype=np.int32))],
        np.array([1]),
        seed=0,
    )
    assert found.is_rival.sum() == 2  # items 1 and 3
    mixed = found.mixed(np.array([1.0], dtype=np.float32))
    assert found.quality(*mixed).tolist() == pytest.approx([1 / np.log2(3)])  # only item 1 stands before it


def test_to_be_put_forward_by_nobody_is_no_merit():
    # Targets in the middle of every head's order: beside leaders alone, a negative weight would put them first.
    dice = np.random.default_rng(0)
    scores = {name: dice.normal(size=(M, 2_000)).astype(np.float32) for name in ("first", "second")}
    targets = np.zeros(M, dtype=np.int32)
    for values in scores.values():
        values[:, 0] = 0.1 * dice.normal(size=M)
    regime = np.ones(M, dtype=np.int64)
    nothing_seen = [np.empty(0, dtype=np.int32)] * M
    found = collect_candidates([(scores, nothing_seen, targets)], regime, seed=0)
    assert found.quality(*found.mixed(search_weights(found))).mean() < 0.05


def test_leaders_of_earlier_weights_are_candidates():
    scores = {
        "first": np.array([[9.0, 5.0, 0.0, 0.0, 4.0]], dtype=np.float32),
        "second": np.array([[0.0, 5.0, 9.0, 0.0, 4.0]], dtype=np.float32),
    }
    chunk = (scores, [np.empty(0, dtype=np.int32)], np.array([4], dtype=np.int32))
    both = np.ones((len(REGIMES), 2), dtype=np.float32)
    found = collect_candidates([chunk], np.array([1]), seed=0, tables=[both], per_head=1)
    scores_of, target = found.mixed(both[0])
    assert (scores_of > target).sum() == 3  # item 1 leads by both, by neither alone


def test_a_regime_keeps_the_common_weights_where_its_own_would_not_have_lasted():
    """At starts "fashion" puts first what is wanted in the first half of the period, and last in the second."""
    found = candidates({"steady": [1, 2], "fashion": []})
    is_start, is_early = found.regime == 1, np.arange(M) < M // 2
    found.target_values[1, is_start & is_early] = 5
    found.target_values[1, is_start & ~is_early] = -5
    assert fit(found).table()["start"] == {"steady": 1.0}
    found.target_values[1, is_start] = 5  # where it lasts, starts get it
    assert fit(found).table()["start"]["fashion"] > 0
