import numpy as np
import pytest

from training.history import History, HistoryBatch, Recency
from training.llm_recommender import OWN_HISTORY_DECAY
from training.own_history import own_history_scores

MINUTE = 60 * 10**6


def batch(*items: int) -> HistoryBatch:
    times = np.arange(len(items), dtype=np.int64) * MINUTE
    return HistoryBatch.of([History(np.array(items, dtype=np.int32), times)], [len(items) * MINUTE])


def test_the_own_history_counts_how_often_and_how_lately():
    fading = Recency(a=0.5, session_decay=0.98, long_term_decay=0.98)
    scores = own_history_scores(batch(2, 0, 2), fading, n_items=4)[0]
    # Roots of halves of .98^age: item 2 at ages 0 and 2, item 0 at age 1.
    assert scores.tolist() == pytest.approx([0.7, 0, (0.5 + 0.5 * 0.98**2) ** 0.5, 0])


def test_in_the_recommender_it_counts_how_often_alone():
    scores = own_history_scores(batch(2, 0, 2), OWN_HISTORY_DECAY, n_items=4)[0]
    assert scores.tolist() == pytest.approx([0.5**0.5, 0, 1, 0])


def test_what_was_never_met_scores_alike():
    scores = own_history_scores(batch(1), OWN_HISTORY_DECAY, n_items=5)[0]
    assert len(set(scores[[0, 2, 3, 4]])) == 1
