import numpy as np
import pytest

from training.history import SESSION_GAP_US, History, HistoryBatch, Recency

MINUTE = 60_000_000
NOW = 1_000 * MINUTE


def history(*ages_in_minutes: int) -> History:
    times = [NOW - age * MINUTE for age in ages_in_minutes]
    return History(np.arange(len(times), dtype=np.int32), np.array(times, dtype=np.int64))


def test_the_open_session_reaches_back_to_the_first_long_pause():
    batch = HistoryBatch.of([history(500, 60, 40, 20)], [NOW])
    assert SESSION_GAP_US == 30 * MINUTE
    assert batch.in_session.tolist() == [[False, True, True, True]]
    assert batch.is_inside_session.tolist() == [True]


def test_after_a_long_pause_every_item_belongs_to_the_past():
    batch = HistoryBatch.of([history(60, 40, 31)], [NOW])
    assert batch.in_session.tolist() == [[False, False, False]]
    assert batch.is_inside_session.tolist() == [False]


def test_histories_of_different_length_end_in_the_same_column():
    batch = HistoryBatch.of([history(5), history(), history(20, 10)], [NOW] * 3)
    assert batch.items.tolist() == [[-1, 0], [-1, -1], [0, 1]]
    assert batch.lengths.tolist() == [1, 0, 2]
    assert batch.is_inside_session.tolist() == [True, False, True]


def test_a_batch_without_any_history_is_a_batch():
    batch = HistoryBatch.of([history(), history()], [NOW, NOW])
    assert batch.items.shape == (2, 0)
    assert not batch.is_inside_session.any()
    assert Recency().weights(batch).shape == (2, 0)


def test_session_and_long_term_share_the_weight_by_a():
    batch = HistoryBatch.of([history(500, 10, 5)], [NOW])
    weights = Recency(a=0.8, session_decay=0.5, long_term_decay=0.9).weights(batch)
    # newest first: .8, .8·.5; then (1 − .8)·.9² for the one of the past, two items back
    assert weights[0].tolist() == pytest.approx([0.2 * 0.81, 0.4, 0.8])


def test_at_the_start_of_a_session_the_past_may_fade_at_a_pace_of_its_own():
    batch = HistoryBatch.of([history(500, 400), history(500, 5)], [NOW, NOW])
    weights = Recency(a=0.8, session_decay=0.5, long_term_decay=0.5, start_decay=0.9).weights(batch)
    assert weights[0].tolist() == pytest.approx([0.2 * 0.9, 0.2])
    assert weights[1].tolist() == pytest.approx([0.2 * 0.5, 0.8])


def test_padding_never_counts():
    batch = HistoryBatch.of([history(5), history(20, 10)], [NOW, NOW])
    assert Recency().weights(batch)[0, 0] == 0
