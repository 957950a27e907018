import numpy as np
import pytest

from training import registry
from training.bundle import load_bundle
from training.history import History, HistoryBatch
from training.reigning import reigning_champion
from training.tracking import log_bundle, training_run


def test_without_a_champion_nobody_reigns(tmp_path):
    assert reigning_champion(f"sqlite:///{tmp_path}/mlflow.db", ["a"]) is None


@pytest.fixture(scope="module")
def crowned(tracking_uri, small_bundle):
    with training_run(tracking_uri, "training") as run:
        log_bundle(tracking_uri, run.info.run_id, small_bundle)
    registry.make_champion(tracking_uri, registry.register_run(tracking_uri, run.info.run_id), "the first champion")
    return tracking_uri


def test_the_champion_scores_the_same_in_another_order(crowned, small_bundle):
    original = load_bundle(small_bundle).recommender
    order = np.random.default_rng(1).permutation(original.n_items)
    item_ids = ["new", *(original.item_ids[index] for index in order)]  # our item 1 + i is its item order[i]
    reigning = reigning_champion(crowned, item_ids)
    assert reigning is not None and reigning.until_us == 1_700_000_000_000_000

    now = reigning.until_us + 60_000_000
    times = np.array([now - 30_000_000, now - 20_000_000, now - 10_000_000])
    ours = HistoryBatch.of([History(np.array([5, 0, 9], dtype=np.int32), times)], [now])
    theirs = HistoryBatch.of([History(order[[4, 8]].astype(np.int32), times[[0, 2]])], [now])
    counts = np.random.default_rng(2).integers(0, 50, size=(1, len(item_ids), 4)).astype(np.float32)
    their_counts = np.empty((1, original.n_items, 4), dtype=np.float32)
    their_counts[:, order] = counts[:, 1:]
    first = np.zeros(1, dtype=np.int64)

    found = reigning.score_batch(ours, counts, first)
    expected = original.score_batch(theirs, their_counts, first)
    assert np.allclose(found[:, 1:], expected[:, order], atol=1e-6)
    assert found[0, 0] < found[0, 1:].min()
