import math
import time

from training.time_budget import ENDLESS, TimeBudget, best_of, is_over


def test_without_a_budget_every_share_is_endless():
    assert TimeBudget(None).share(0.1) == ENDLESS
    assert not is_over(ENDLESS)


def test_a_share_is_a_fraction_of_what_is_left():
    budget = TimeBudget(10)
    now = time.monotonic()
    assert math.isclose(budget.share(0.5) - now, 300, abs_tol=2)
    assert math.isclose(budget.share(0.25) - now, 150, abs_tol=2)


def test_what_is_reserved_for_the_end_is_not_shared_out():
    budget = TimeBudget(10)
    budget.reserve(200)
    assert math.isclose(budget.share(0.5) - time.monotonic(), 200, abs_tol=2)
    budget.reserve(1_000)
    assert math.isclose(budget.share(0.5) - time.monotonic(), 0, abs_tol=2)


def test_a_large_catalogue_is_judged_on_fewer_events_but_never_on_none():
    assert TimeBudget(10).affordable(4_000, n_items=60_000, scores_per_minute=12e6) == 2_000
    assert TimeBudget(10).affordable(4_000, n_items=6_000, scores_per_minute=12e6) == 4_000
    assert TimeBudget(0.1).affordable(4_000, n_items=10**6, scores_per_minute=12e6) == 500
    assert TimeBudget(None).affordable(4_000, n_items=10**6, scores_per_minute=12e6) == 4_000


def test_when_the_budget_is_used_up_a_share_is_over_at_once():
    budget = TimeBudget(1e-9)
    time.sleep(0.01)
    assert is_over(budget.share(1) - 0.001)


def test_after_its_moment_a_choice_tries_the_first_option_alone():
    tried: list[int] = []

    def judge(option: int) -> float:
        tried.append(option)
        return float(option)

    assert best_of([1, 2, 3], judge, until=time.monotonic() - 1) == (1, 1.0)
    assert tried == [1]
    assert best_of([1, 3, 2], judge) == (3, 3.0)


def test_of_equals_the_first_is_best():
    assert best_of(["a", "bb", "cc"], len) == ("bb", 2)
