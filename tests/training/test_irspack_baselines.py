import sys

import numpy as np
import pytest

from training import irspack_baselines
from training.baselines import evenly
from training.history import HistoryBatch
from training.irspack_baselines import MissingLibraryError, fit_ials, fit_rp3beta
from training.snapshot import Events

EVEN = evenly(1.0)


def events(pairs: list[tuple[int, int]]) -> Events:
    user, item = np.array(pairs, dtype=np.int32).T
    times = np.arange(len(pairs), dtype=np.int64)
    return Events(user, item, times, times, np.zeros(len(pairs), dtype=bool), np.ones(len(pairs), dtype=np.int32))


def batch(*histories: list[int]) -> HistoryBatch:
    width = max(map(len, histories))
    items = np.array([[-1] * (width - len(items)) + items for items in histories], dtype=np.int32)
    return HistoryBatch(items, np.zeros_like(items, dtype=np.int64), np.zeros(len(items), dtype=np.int64))


TWO_CAMPS = events([(user, item) for user in range(20) for item in range(10) if item // 5 == user % 2])
"""Even users have met items 0 to 4, odd ones 5 to 9."""


def test_rp3beta_walks_from_item_to_user_to_item():
    # Item 0 was met by users 0 and 1, half the walk each; user 0 goes on to 0 or 1, user 1 to 0 or 2.
    met = events([(0, 0), (0, 1), (1, 0), (1, 2), (2, 2)])
    scores = fit_rp3beta(met, 3, 0.0, 3, EVEN).score_batch(batch([0]), np.empty(0), np.empty(0))
    assert scores[0, 1:].tolist() == pytest.approx([0.5 * 1 / 4, 0.5 * 1 / 4])
    damped = fit_rp3beta(met, 3, 1.0, 3, EVEN).score_batch(batch([0]), np.empty(0), np.empty(0))
    assert damped[0, 1:].tolist() == pytest.approx([0.5 * 1 / 4, 0.5 * 1 / 4 / 2])  # item 2 has two users


def test_ials_folds_in_users_it_has_never_seen():
    model = fit_ials(TWO_CAMPS, 10, 2, 0.1, 0.01, EVEN, seed=0)
    scores = model.score_batch(batch([0, 1], [7, 8], []), np.empty(0), np.empty(0))
    assert scores[0, 2:5].min() > scores[0, 5:].max()
    assert scores[1, [5, 6, 9]].min() > scores[1, :5].max()
    assert scores[2].tolist() == [0] * 10


def test_ials_counts_the_newest_item_most():
    model = fit_ials(TWO_CAMPS, 10, 2, 0.1, 0.01, evenly(0.3), seed=0)
    scores = model.score_batch(batch([7, 0], [0, 7]), np.empty(0), np.empty(0))
    assert scores[0, :5].mean() > scores[0, 5:].mean()
    assert scores[1, :5].mean() < scores[1, 5:].mean()


def test_without_irspack_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "irspack", None)
    with pytest.raises(MissingLibraryError, match="evaluate"):
        irspack_baselines._irspack()
