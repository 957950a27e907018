"""A short sample of `make faults`: processes are killed, parts are broken, and nothing that was said is untrue."""

import pytest

from benchmarks.fault_kinds import FAULTS
from benchmarks.faults import N_ITEMS, kill_again_and_again, meet_all
from benchmarks.serve_world import make_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("faults") / "home"
    make_world(home, N_ITEMS)
    return home


def test_kill_9_at_random_moments_loses_nothing(home):
    outcome = kill_again_and_again(home, 5, seed=0)
    assert outcome.tally.n_answered > 0
    assert outcome.faults == []


def test_answers_go_on_while_parts_are_broken_and_are_whole_afterwards(home):
    outcomes = meet_all(home, FAULTS, seconds=2, seed=1)
    assert {outcome.fault: outcome.faults for outcome in outcomes if outcome.faults} == {}
