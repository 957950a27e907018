from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.history import History, HistoryBatch
from training.sequence_head import N_GAP_BUCKETS, SequenceHead, gap_buckets
from training.sequence_network import HistoryReader, SequenceConfig
from training.sequence_training import TrainedSequence, WarmStart, train_sequence
from training.sequence_windows import windows, windows_per_step
from training.snapshot import Events

SMALL = SequenceConfig(embedding_size=16, heads=2, max_length=8, batch_size=8, dropout=0.0, learning_rate=0.02)
SECOND = 1_000_000


def circle(n_users: int = 30, length: int = 12, n_items: int = 10) -> Events:
    """Everybody goes from item i to item i + 1, from a start of their own."""
    start = np.arange(n_users)[:, None] % n_items
    item = ((start + np.arange(length)[None, :]) % n_items).ravel().astype(np.int32)
    user = np.repeat(np.arange(n_users, dtype=np.int32), length)
    times = np.tile(np.arange(length) * SECOND, n_users).astype(np.int64)
    return Events(user, item, times, times, np.zeros(len(user), dtype=bool), np.ones(len(user), dtype=np.int32))


def vectors(n_items: int = 10) -> np.ndarray:
    found = np.random.default_rng(1).normal(size=(n_items, 6)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def train(folder: Path, *, epochs: int = 3, seed: int = 0, config: SequenceConfig = SMALL, **more) -> TrainedSequence:
    return train_sequence(circle(), vectors(), config, epochs=epochs, seed=seed, folder=folder, **more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedSequence:
    return train(tmp_path_factory.mktemp("sequence"), epochs=12)


@pytest.fixture(scope="module")
def exported(trained: TrainedSequence) -> SequenceHead:
    return trained.export()


def histories(*sequences: list[int]) -> HistoryBatch:
    found = [
        History(np.array(items, dtype=np.int32), np.arange(len(items), dtype=np.int64) * SECOND) for items in sequences
    ]
    return HistoryBatch.of(found, [len(items) * SECOND for items in sequences])


def weights(run: TrainedSequence) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in run.network.state_dict().items()}


def assert_same_weights(first: TrainedSequence, second: TrainedSequence) -> None:
    for name, value in weights(first).items():
        assert np.array_equal(value, weights(second)[name]), name


def test_it_learns_what_follows_what(trained):
    scores = trained.scorer().score(histories([3, 4, 5], [8, 9], [0]))
    assert scores.argmax(axis=1).tolist() == [6, 0, 1]


def test_later_items_do_not_change_earlier_outputs(trained):
    reader, table = trained.network.reader, trained.scorer().table
    batch, other = histories([1, 2, 3, 4]), histories([1, 2, 7, 0])
    with torch.inference_mode():
        outputs = [
            reader(torch.from_numpy(table[b.items]), torch.from_numpy(gap_buckets(b))).numpy() for b in (batch, other)
        ]
    assert np.array_equal(outputs[0][:, :2], outputs[1][:, :2])
    assert not np.allclose(outputs[0][:, 2:], outputs[1][:, 2:])


def test_the_newest_position_alone_reads_as_it_does_among_all():
    torch.manual_seed(0)
    reader = HistoryReader(replace(SMALL, layers=2)).eval()
    vectors, gaps = torch.randn(3, 5, 16), torch.tensor([[0, 0, 3, 4, 5], [1, 2, 3, 4, 5], [0, 0, 0, 0, 7]])
    with torch.inference_mode():
        alone, among_all = reader(vectors, gaps, only_newest=True), reader(vectors, gaps)
    assert alone.shape == (3, 1, 16)
    assert torch.allclose(alone, among_all[:, -1:], atol=1e-6)


def test_padding_changes_nothing(trained):
    alone = trained.scorer().score(histories([2, 3]))
    beside = trained.scorer().score(histories([2, 3], [1, 2, 3, 4, 5, 6]))
    assert np.allclose(alone[0], beside[0], atol=1e-4)


def test_the_exported_head_scores_as_the_network(trained, exported):
    batch = histories([1], [4, 5, 6], [], list(range(8)), [9, 8] * 10)  # the last one is longer than is read
    assert np.allclose(exported.score(batch), trained.scorer().score(batch), atol=1e-4)
    assert not exported.score(batch)[2].any()


def test_a_saved_head_is_loaded_as_it_was(exported, tmp_path: Path):
    exported.save(tmp_path)
    loaded = SequenceHead.load(tmp_path, exported.max_length)
    batch = histories([4, 5, 6])
    assert np.array_equal(loaded.score(batch), exported.score(batch))
    assert {path.suffix for path in tmp_path.iterdir()} == {".onnx", ".npy"}


def test_the_same_seed_gives_the_same_weights(tmp_path: Path):
    config = replace(SMALL, dropout=0.2)
    assert_same_weights(train(tmp_path / "a", config=config), train(tmp_path / "b", config=config))


def test_another_seed_gives_other_weights(tmp_path: Path):
    first, second = train(tmp_path / "a", epochs=1), train(tmp_path / "b", epochs=1, seed=1)
    assert not np.array_equal(weights(first)["identity.weight"], weights(second)["identity.weight"])


class Killed(Exception):
    pass


def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path: Path):
    config = replace(SMALL, dropout=0.2)
    quality = iter([0.1, 0.3, 0.2, 0.4])
    whole = train(tmp_path / "whole", epochs=4, config=config, validate=lambda *_: next(quality))
    quality = iter([0.1, 0.3])

    def killed_in_the_third_epoch(*_) -> float:
        try:
            return next(quality)
        except StopIteration:
            raise Killed from None

    with pytest.raises(Killed):
        train(tmp_path / "killed", epochs=4, config=config, validate=killed_in_the_third_epoch)
    rest = iter([0.2, 0.4])
    resumed = train(tmp_path / "killed", epochs=4, config=config, validate=lambda *_: next(rest))
    assert_same_weights(whole, resumed)
    assert resumed.curve == whole.curve


def test_a_finished_run_is_not_trained_again(tmp_path: Path):
    first = train(tmp_path, epochs=2)
    stamp = (tmp_path / "checkpoint.json").stat().st_mtime_ns
    assert_same_weights(first, train(tmp_path, epochs=2))
    assert (tmp_path / "checkpoint.json").stat().st_mtime_ns == stamp


def test_training_stops_when_validation_no_longer_rises_and_keeps_the_best(tmp_path: Path):
    quality = iter([0.3, 0.2, 0.1, 0.9])
    run = train(tmp_path, epochs=10, config=replace(SMALL, patience=2), validate=lambda *_: next(quality))
    assert len(run.curve) == 3
    assert run.best_epoch == 1


def test_a_warm_start_finds_its_items_by_id(trained):
    ids = [f"i{number}" for number in range(10)]
    later = ["new", *reversed(ids)]
    warm = WarmStart.between(trained.network, ids, later)
    network = type(trained.network)(11, 6, SMALL)
    warm.carry_over(network)
    old, found = trained.network.identity.weight, network.identity.weight
    assert torch.equal(found[1:], old.flip(0))
    assert torch.equal(network.adaptor.weight, trained.network.adaptor.weight)


def test_global_chance_is_left_alone(tmp_path: Path):
    state = torch.random.get_rng_state()
    train(tmp_path, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("offset", [0, 3, 7])
def test_windows_hold_every_transition_once(offset: int):
    events = circle(n_users=3, length=11)
    cut = windows(events, 8, offset)
    pairs = [
        (int(row_item), int(row_next))
        for items, following in zip(cut.batch.items, cut.following, strict=True)
        for row_item, row_next in zip(items, following, strict=True)
        if row_next >= 0
    ]
    expected = [
        (int(a), int(b))
        for user in range(3)
        for a, b in zip(*[events.item[events.user == user][s] for s in (slice(None, -1), slice(1, None))], strict=True)
    ]
    assert sorted(pairs) == sorted(expected)


def test_short_histories_share_a_step_until_it_is_half_full():
    assert windows_per_step(windows(circle(length=9), 8, 0), SMALL) == 8
    # Two items followed by another one, in windows of eight: a quarter is filled, so twice as many go together.
    assert windows_per_step(windows(circle(length=3), 8, 0), SMALL) == 16
    assert windows_per_step(windows(circle(length=1), 8, 0), SMALL) == 8


def test_the_gap_of_a_position_is_the_time_to_the_event_after_it():
    events = circle(n_users=1, length=5)
    times = np.array([0, 1, 2, 100, 5_000]) * SECOND
    cut = windows(replace(events, occurred_at=times), 8, 0)
    # 1 s, 1 s, 98 s, 4,900 s to the next: 1 + floor(log2(1 + seconds))
    assert gap_buckets(cut.batch)[0, -4:].tolist() == [2, 2, 7, 13]


def test_gaps_of_decades_stay_in_the_last_bucket():
    batch = HistoryBatch.of([History(np.array([0], dtype=np.int32), np.array([0]))], [10**16])
    assert gap_buckets(batch).tolist() == [[N_GAP_BUCKETS - 1]]
