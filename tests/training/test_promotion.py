from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from training import registry
from training.comparison import Lift
from training.promotion import CHAMPION_NAME, SINCE_CHAMPION, Evidence, Verdict, is_better, probe, promote


def measured(mean: float, low: float, high: float) -> Lift:
    return Lift(mean, low, high, n_users=100, n_events=1_000)


GOOD = Evidence(
    against_trivial={"popularity": measured(2.0, 1.5, 2.5), "popularity_7d": measured(1.0, 0.5, 1.4)},
    against_champion=measured(0.02, 0.001, 0.04),
    has_champion=True,
    slices={"cold_user": measured(0.01, -0.02, 0.04)},
    answer_ms=2.0,
    note="version 3 on the same holdout",
)


def test_a_better_model_is_promoted_with_its_figures():
    verdict = is_better(GOOD)
    assert verdict.promoted
    assert verdict.reasons[0] == (
        "champion: +2.0% [+0.1%, +4.0%] over 100 users, 1000 events (version 3 on the same holdout)"
    )


@pytest.mark.parametrize(("low", "promoted"), [(-0.009, True), (-0.01, False), (-0.2, False)])
def test_the_lower_bound_decides_against_the_champion(low, promoted):
    assert is_better(replace(GOOD, against_champion=measured(0.02, low, 0.04))).promoted is promoted


def test_an_equal_model_replaces_the_older_one():
    assert is_better(replace(GOOD, against_champion=measured(0, 0, 0))).promoted


def test_a_first_champion_needs_only_the_trivial_baselines():
    first = Evidence(against_trivial=GOOD.against_trivial)
    assert is_better(first).promoted
    assert is_better(first).reasons[0] == "the first champion"


@pytest.mark.parametrize("low", [0.0, -0.1])
def test_no_sure_gain_over_popularity_is_no_model(low):
    close = {**GOOD.against_trivial, "popularity_7d": measured(0.1, low, 0.3)}
    for evidence in (replace(GOOD, against_trivial=close), Evidence(against_trivial=close)):
        verdict = is_better(evidence)
        assert not verdict.promoted
        assert verdict.reason.startswith("not surely better than popularity_7d: +10.0%")


def test_a_model_without_a_trivial_baseline_is_not_judged():
    assert is_better(replace(GOOD, against_trivial={})).reason == "no trivial baseline was evaluated beside it"


def test_a_slice_that_surely_falls_is_a_veto():
    verdict = is_better(replace(GOOD, slices={"cold_item": measured(-0.10, -0.15, -0.05)}))
    assert not verdict.promoted
    assert verdict.reason.startswith("slice cold_item fell against the champion: -10.0%")


def test_a_slice_that_falls_by_chance_is_told_not_held():
    verdict = is_better(replace(GOOD, slices={"cold_item": measured(-0.10, -0.30, 0.10)}))
    assert verdict.promoted
    assert "slice cold_item fell, perhaps by chance" in verdict.reason


def test_a_slice_may_fall_a_little():
    assert is_better(replace(GOOD, slices={"tail": measured(-0.029, -0.05, -0.01)})).promoted


def test_without_anything_to_compare_on_the_champion_stays():
    verdict = is_better(replace(GOOD, against_champion=None, note="fewer than 20 test users are shared"))
    assert verdict.reason == "cannot be compared with the champion: fewer than 20 test users are shared"


def test_a_bundle_that_does_not_answer_is_never_promoted():
    assert "altered" in is_better(replace(GOOD, bundle_problem="head.onnx was altered")).reason
    assert is_better(replace(GOOD, answer_ms=500.0)).reason == "an answer takes 500 ms, more than 100"


def test_data_that_failed_its_tests_stops_even_a_better_model():
    verdict = is_better(replace(GOOD, data_problem="unique_dim_items_item_id: got 3 results"))
    assert not verdict.promoted
    assert verdict.reasons == (
        "the newest data failed its tests (unique_dim_items_item_id: got 3 results): "
        "mend it, build the marts, and ask again",
    )


def test_every_failure_is_told():
    bad = replace(GOOD, bundle_problem="gone", against_trivial={}, against_champion=measured(-0.5, -0.6, -0.4))
    assert len(is_better(bad).reasons) == 3


def per_user(ours: float, **others: float) -> pa.Table:
    """Sixty users with ten test events each; every model's quality swings around its mean in the same way."""
    models = {"recommender": ours, "popularity": 0.02, "popularity_7d": 0.03, **others}
    swing = np.random.default_rng(0).uniform(0.5, 1.5, size=60)
    rows = [
        {"user_id": f"u{user}", "model": model, "n_events": 10, "ndcg_at_10": quality * swing[user]}
        for model, quality in models.items()
        for user in range(60)
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture
def registered(tracking_uri, register_evaluated):
    """Log an evaluated run and register it."""
    return partial(register_evaluated, tracking_uri)


@pytest.fixture
def trained(tracking_uri, registered):
    """Log an evaluated run, register it, and ask the gate."""

    def train(table: pa.Table, **period: int) -> tuple[int, Verdict]:
        version = registered(table, **period)
        return version, promote(tracking_uri, version)

    return train


def test_champions_change_only_for_better_ones(tracking_uri, trained):
    _, verdict = trained(per_user(0.025))
    assert not verdict.promoted and "not surely better than popularity_7d" in verdict.reason
    assert registry.champion(tracking_uri) is None

    first, verdict = trained(per_user(0.05))
    assert verdict.promoted and verdict.reasons[0] == "the first champion"

    worse, verdict = trained(per_user(0.045))
    assert not verdict.promoted
    assert verdict.reason.startswith("may be worse than the champion: -10.0%")
    kept = registry.get_version(tracking_uri, worse)
    assert kept.aliases == ("challenger",)
    assert kept.tags["verdict_reason"] == verdict.reason

    better, verdict = trained(per_user(0.06))
    assert verdict.promoted and "on the same holdout" in verdict.reason
    assert registry.champion(tracking_uri).version == better
    assert registry.by_alias(tracking_uri, "previous").version == first
    assert promote(tracking_uri, better).reason == "is the champion already"

    stopped, _ = trained(per_user(0.06))
    registry.make_champion(tracking_uri, better, "put back by hand")
    verdict = promote(tracking_uri, stopped, data_problem="accepted_values_type: got 1 result")
    assert not verdict.promoted
    assert registry.champion(tracking_uri).version == better
    assert "accepted_values_type: got 1 result" in registry.get_version(tracking_uri, stopped).tags["verdict_reason"]
    registry.make_champion(tracking_uri, stopped, "as it would have been")
    better = stopped

    grown = per_user(0.05)
    since = grown.append_column("slice", pa.array([SINCE_CHAMPION] * len(grown)))
    champion = pc.equal(since["model"], "popularity")
    since = since.set_column(1, "model", pc.if_else(champion, CHAMPION_NAME, since["model"]))
    both = pa.concat_tables([grown.append_column("slice", pa.array(["all"] * len(grown))), since])
    _, verdict = trained(both, after=69, until=80)
    assert verdict.promoted
    assert f"version {better}'s bundle on the events after its training" in verdict.reason

    _, verdict = trained(both, after=70, until=81)
    assert verdict.promoted and "on the users of both holdouts, as few events are new" in verdict.reason


def test_a_gain_on_the_whole_does_not_buy_a_loss_on_cold_items(tracking_uri, trained):
    def results(whole: float, cold: float) -> pa.Table:
        parts = [(per_user(whole), "all"), (per_user(cold), "item_seen_0"), (per_user(0.1 - cold), "later_day")]
        return pa.concat_tables([t.append_column("slice", pa.array([part] * len(t))) for t, part in parts])

    _, verdict = trained(results(whole=0.07, cold=0.04), until=90)
    assert verdict.promoted
    _, verdict = trained(results(whole=0.08, cold=0.03), until=90)
    assert not verdict.promoted
    assert verdict.reason.startswith("slice item_seen_0 fell against the champion: -25.0%")


def test_a_bundle_that_answers_has_no_problem(tracking_uri, trained):
    version, _ = trained(per_user(0.05))
    problem, answer_ms = probe(registry.get_version(tracking_uri, version))
    assert problem is None
    assert 0 < answer_ms < 100


def test_two_decisions_at_once_leave_the_better_version_champion(tracking_uri, registered, trained):
    trained(per_user(0.05), until=95)
    versions = [registered(per_user(quality), until=95) for quality in (0.08, 0.065)]
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(lambda version: promote(tracking_uri, version), versions))
    assert verdicts[0].promoted
    assert registry.champion(tracking_uri).version == versions[0]


def test_a_person_may_overrule_the_gate_with_a_reason(tracking_uri, registered, trained):
    trained(per_user(0.05), until=99)
    worse = registered(per_user(0.02), until=99)
    assert not promote(tracking_uri, worse).promoted
    verdict = promote(tracking_uri, worse, overruled_because="the other one shows what is sold out")
    assert verdict.promoted
    assert registry.champion(tracking_uri).version == worse
    reason = registry.get_version(tracking_uri, worse).tags["verdict_reason"]
    assert reason.startswith("a person overruled the gate: the other one shows what is sold out; ")
    assert "not surely better than popularity" in reason
