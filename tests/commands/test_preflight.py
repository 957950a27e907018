import sys

import pytest

from commands.preflight import NEEDED_BYTES, problem


def test_a_good_machine_has_no_problem():
    assert problem(sys.version_info[:2], True, NEEDED_BYTES) is None


@pytest.mark.parametrize(
    ("version", "has_venv", "free_bytes", "words"),
    [
        ((3, 10), True, NEEDED_BYTES, ("3.10", "3.11", "PYTHON=")),
        ((2, 7), True, NEEDED_BYTES, ("2.7", "too old")),
        ((3, 11), False, NEEDED_BYTES, ("venv", "apt install")),
        ((3, 11), True, 10**9, ("0.9 GB", "free some space")),
    ],
)
def test_each_problem_is_one_sentence_with_the_next_step(version, has_venv, free_bytes, words):
    sentence = problem(version, has_venv, free_bytes)
    assert "\n" not in sentence
    assert all(word in sentence for word in words)
