import numpy as np
import pytest

from training.history import HistoryBatch
from training.sasrec import choose_epochs, fit_sasrec, sasrec_config
from training.snapshot import Events, Popularity, Snapshot


@pytest.fixture(scope="module")
def circle() -> Snapshot:
    """Everybody goes round eight items in one direction, from wherever they begin."""
    user = np.repeat(np.arange(32, dtype=np.int32), 24)
    item = ((user * 3 + np.tile(np.arange(24), 32)) % 8).astype(np.int32)
    times = np.tile(np.arange(24, dtype=np.int64) * 10**9, 32)
    events = Events(user, item, times, times, np.zeros(len(user), dtype=bool), np.ones(len(user), dtype=np.int32))
    nothing = Popularity(np.empty(0, np.int32), np.empty(0, np.int64), np.empty((0, 4), np.float32))
    ids = [f"i{number}" for number in range(8)]
    is_target = times == times.max()
    return Snapshot(
        0, ids, ids, [f"u{each}" for each in range(32)], events, nothing, ~is_target, is_target, with_repeats=True
    )


def test_the_next_item_is_learned_from_order_alone(circle, tmp_path):
    config = sasrec_config(16, 0.1, circle.n_items)
    found = choose_epochs(circle, circle.targets(), config, 20, tmp_path / "chosen", seed=0)
    model = fit_sasrec(circle, config, found.best_epoch, tmp_path / "fitted", seed=0)
    asked = HistoryBatch(
        np.array([[1, 2, 3], [5, 6, 7]], dtype=np.int32), np.zeros((2, 3), dtype=np.int64), np.zeros(2, dtype=np.int64)
    )
    scores = model.score_batch(asked, np.empty(0), np.empty(0))
    assert scores.argmax(axis=1).tolist() == [4, 0]
    another_time = HistoryBatch(asked.items, np.cumsum(np.full((2, 3), 10**12), axis=1), np.full(2, 10**14))
    assert np.array_equal(model.score_batch(another_time, np.empty(0), np.empty(0)), scores)


def test_up_to_ten_thousand_items_the_softmax_is_whole():
    assert sasrec_config(64, 0.2, 10_000).negatives == 10_000
    assert sasrec_config(64, 0.2, 10_001).negatives == 1_000
