import math

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from training.newness import TREND_NEW
from training.snapshot import Events
from training.transitions import TransitionConfig, fit_transitions, strongest_of_sparse
from training.trend import WINDOWS, trend_score


def events(*sequences: list[int]) -> Events:
    user = np.concatenate([np.full(len(items), number) for number, items in enumerate(sequences)]).astype(np.int32)
    times = np.arange(len(user), dtype=np.int64)
    item = np.concatenate(sequences).astype(np.int32)
    return Events(user, item, times, times, np.zeros(len(user), dtype=bool), np.ones(len(user), dtype=np.int32))


def test_transitions_go_one_way_and_fade_with_distance():
    config = TransitionConfig(steps=2, step_decay=0.5, shrinkage=0.0)
    found = fit_transitions(events([0, 1, 2], [2, 0]), 3, config)
    weights = np.zeros((3, 3))
    np.add.at(weights, (np.arange(3)[:, None], found.items), found.weights)
    # each over the root of both items' counts: 0 and 2 were met twice, 1 once
    assert weights[0].tolist() == pytest.approx([0, 1 / np.sqrt(2), 0.5 / 2])
    assert weights[1].tolist() == pytest.approx([0, 0, 1 / np.sqrt(2)])
    assert weights[2].tolist() == pytest.approx([1 / 2, 0, 0])


def test_nothing_follows_from_one_user_to_the_next():
    assert not fit_transitions(events([0], [1]), 2, TransitionConfig()).weights.any()


def test_only_the_largest_of_a_row_are_kept():
    found = strongest_of_sparse(csr_matrix(np.array([[1.0, 3.0, 2.0], [0.0, 0.0, 5.0]])), 2)
    assert found.items.tolist() == [[1, 2], [2, 0]]
    assert found.weights.tolist() == [[3, 2], [5, 0]]


def test_trends_are_logarithms_of_their_own_column():
    counts = np.arange(8, dtype=np.float32).reshape(2, 4)
    for column, window in enumerate(WINDOWS):
        assert np.allclose(trend_score(counts, counts, window), np.log1p(counts[:, column]))


def test_what_is_wanted_now_is_new_as_far_as_training_did_not_know_it():
    now = np.array([[3, 20, 20, 20], [3, 20, 20, 520], [0, 0, 0, 0], [1, 7, 9, 12]], dtype=np.float32)
    trained = np.array([[0, 0, 0, 0], [0, 0, 60, 495], [0, 0, 0, 0], [0, 0, 5, 5]], dtype=np.float32)
    # log(1 + the week's) · 5 / (known + 5): unknown, known well, unknown and unwanted, known by five interactions.
    expected = [math.log(21), math.log(21) / 100, 0, math.log(8) / 2]
    assert trend_score(now, trained, TREND_NEW).tolist() == pytest.approx(expected)
