"""What an update of the sequence head learns and keeps: yesterday everybody went round one way, today the other way."""

from dataclasses import replace

import numpy as np
import pytest

from training.history import History, HistoryBatch
from training.sequence_network import SequenceConfig
from training.sequence_training import WarmStart, train_sequence
from training.sequence_windows import fresh_and_replayed, windows
from training.snapshot import Events

CONFIG = SequenceConfig(embedding_size=16, max_length=8, batch_size=8, dropout=0.0, learning_rate=0.02)
N_ITEMS, LENGTH = 10, 11
YESTERDAY, TODAY = 0, 1_000
IDS = [f"i{number}" for number in range(N_ITEMS)]


def walks(n_users, direction, starts_at, first_user=0):
    """Everybody goes round all items, from a start of their own, an item a microsecond."""
    user = np.repeat(np.arange(n_users, dtype=np.int32), LENGTH)
    step = np.tile(np.arange(LENGTH), n_users)
    item = ((user + direction * step) % N_ITEMS).astype(np.int32)
    times = (starts_at + step).astype(np.int64)
    return Events(first_user + user, item, times, times, np.zeros(len(user), bool), np.ones(len(user), np.int32))


def joined(first, second):
    return Events(
        *(np.concatenate([getattr(first, name), getattr(second, name)]) for name in Events.__dataclass_fields__)
    )


@pytest.fixture(scope="module")
def vectors():
    found = np.random.default_rng(1).normal(size=(N_ITEMS, 6)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def likelihood(run, direction):
    """Mean logarithm of the probability of the item that comes next in this direction."""
    ways = [[(start + direction * step) % N_ITEMS for step in range(5)] for start in range(N_ITEMS)]
    batch = HistoryBatch.of([History(np.array(way[:4], np.int32), np.arange(4)) for way in ways], [4] * N_ITEMS)
    scores = run.scorer().score(batch)
    right = scores[np.arange(N_ITEMS), [way[4] for way in ways]]
    return float((right - np.log(np.exp(scores).sum(axis=1))).mean())


def test_an_update_learns_what_is_new_and_keeps_what_was_known(vectors, tmp_path):
    yesterday = walks(24, 1, YESTERDAY)
    known = train_sequence(yesterday, vectors, CONFIG, epochs=6, seed=0, folder=tmp_path / "yesterday")
    both = joined(yesterday, walks(8, -1, TODAY, first_user=24))
    warm = WarmStart.between(known.network, IDS, IDS, fresh_after=int(yesterday.occurred_at.max()))

    def update(name, **changes):
        config = replace(CONFIG, **changes)
        return train_sequence(both, vectors, config, epochs=8, seed=0, folder=tmp_path / name, warm_start=warm)

    assert likelihood(update("as configured"), -1) > likelihood(known, -1) + 1
    careless = likelihood(update("careless", replay=0.0, distillation=0.0), 1)
    assert likelihood(update("replaying", replay=2.0, distillation=0.0), 1) > careless
    assert likelihood(update("held back", replay=0.0, distillation=2.0), 1) > careless


def test_an_update_replays_a_share_of_the_older_windows():
    cut = windows(joined(walks(8, 1, YESTERDAY), walks(2, 1, TODAY, first_user=8)), 8, 0)
    chosen = fresh_and_replayed(cut, TODAY - 1, replay=0.5, generator=np.random.default_rng(0))
    assert len(cut.batch) == 16 + 4
    assert (chosen.batch.now >= TODAY).sum() == 4
    assert len(chosen.batch) == 4 + 2


def test_where_little_is_old_an_update_replays_what_there_is():
    cut = windows(joined(walks(1, 1, YESTERDAY), walks(8, 1, TODAY, first_user=1)), 8, 0)
    chosen = fresh_and_replayed(cut, TODAY - 1, replay=1.0, generator=np.random.default_rng(0))
    assert len(chosen.batch) == len(cut.batch) == 18
