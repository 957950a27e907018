from dataclasses import replace

import numpy as np
import pytest

from training.history import HistoryBatch
from training.item_item import (
    ItemItemConfig,
    fit_item_item,
    session_rows,
    user_rows,
    window_rows,
)
from training.neighbours import Neighbours
from training.rare_items import TEXT_LENGTH, VOICE
from training.snapshot import Events


def events(*sequences: list[int], sessions: list[list[int]] | None = None) -> Events:
    user = np.concatenate([np.full(len(items), number) for number, items in enumerate(sequences)]).astype(np.int32)
    item = np.concatenate(sequences).astype(np.int32)
    session = np.concatenate(sessions) if sessions else np.ones(len(item))
    times = np.arange(len(item), dtype=np.int64)
    return Events(user, item, times, times, np.zeros(len(item), dtype=bool), session.astype(np.int32))


def dense(neighbours: Neighbours) -> np.ndarray:
    matrix = np.zeros((len(neighbours.items),) * 2)
    np.put_along_axis(matrix, neighbours.items.astype(int), neighbours.weights, axis=1)
    return matrix


def test_the_head_is_the_ridge_regression_of_each_item_on_all_others():
    met = events([0, 1, 2], [0, 1], [1, 3], [2, 3, 0])
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0][:, :2].astype(np.float32)
    config = ItemItemConfig(ridge=2.0, text_weight=3.0, extra_rows="none", neighbours=4)
    found = dense(fit_item_item(met, vectors, config))
    rows = np.vstack([user_rows(met, 4).toarray(), np.sqrt(3.0) * vectors.T])  # the text's dimensions are rows too
    for target in range(4):
        others = [item for item in range(4) if item != target]
        x, y = rows[:, others], rows[:, target]
        expected = np.linalg.solve(x.T @ x + 2.0 * np.eye(3), x.T @ y)
        assert found[others, target] == pytest.approx(expected, abs=1e-5)
        assert found[target, target] == 0


def test_windows_overlap_by_half():
    rows = window_rows(events([0, 1, 2, 3, 4]), 5, size=4).toarray()
    assert rows.tolist() == [[1, 1, 1, 1, 0], [0, 0, 1, 1, 1]]  # the run of item 4 alone says nothing of pairs


def test_windows_end_with_their_user():
    rows = window_rows(events([0, 1], [2, 3]), 4, size=4).toarray()
    assert rows.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_sessions_with_two_items_are_rows():
    met = events([0, 1, 2], [3, 0], sessions=[[1, 1, 2], [1, 1]])
    assert session_rows(met, 4).toarray().tolist() == [[1, 1, 0, 0], [1, 0, 0, 1]]


def test_an_item_that_nobody_met_is_reached_by_its_text():
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype=np.float32)  # 3 is like 2, 1 is like 0
    found = dense(fit_item_item(events([0, 1], [0, 1, 2]), vectors, ItemItemConfig(ridge=1, text_weight=5)))
    assert found[2, 3] > 0
    assert found[2, 3] > found[0, 3]


def test_normalisation_divides_by_less_of_what_is_known_of_an_item():
    met = events([0, 1, 2], [0, 1], [0, 3], [2, 3, 0])
    config = ItemItemConfig(ridge=2.0, text_weight=0, extra_rows="none", neighbours=4)
    rows = user_rows(met, 4).toarray()
    precision = np.linalg.inv(rows.T @ rows + 2.0 * np.eye(4))
    found = dense(fit_item_item(met, np.zeros((4, 1), dtype=np.float32), replace(config, normalisation=0.5)))
    expected = -precision / np.sqrt(np.diag(precision))
    np.fill_diagonal(expected, 0)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("normalisation", [0.0, 0.4])
def test_beyond_the_dense_size_each_rare_item_has_the_weights_of_a_dense_problem_with_it(normalisation):
    met = events([0, 1, 2, 4], [0, 1, 3], [0, 1, 2, 3], [2, 0, 4], [1, 2, 3])
    vectors = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)  # nobody met item 5
    shorter = vectors * np.array([1, 1, 1, 1, TEXT_LENGTH, TEXT_LENGTH], dtype=np.float32)[:, None]
    core = [0, 1, 2, 3]
    config = ItemItemConfig(ridge=1.5, text_weight=0.7, extra_rows="none", neighbours=4, max_items=4)
    config = replace(config, normalisation=normalisation)
    found = dense(fit_item_item(met, vectors, config))
    for rare in (4, 5):
        with_it = dense(fit_item_item(*only(met, shorter, [*core, rare]), replace(config, max_items=5)))
        assert found[rare, core] == pytest.approx(VOICE * with_it[4, :4], abs=1e-5)
        # A row keeps four weights, so of the five others the weakest is gone.
        kept = found[core, rare] != 0
        assert kept.any()
        assert found[core, rare][kept] == pytest.approx(with_it[:4, 4][kept], abs=1e-5)
    assert not found[4:, 4:].any()


def test_a_rare_item_displaces_weaker_neighbours_of_the_core():
    met = events([0, 1], [0, 3], [0, 3], [1, 2], [0, 1], [0, 2])
    config = ItemItemConfig(ridge=0.5, text_weight=0, extra_rows="none", neighbours=1, max_items=3)
    found = fit_item_item(met, np.zeros((4, 1), dtype=np.float32), config)
    assert found.items.shape == (4, 1)
    assert found.items[3].tolist() == [0]  # who met item 3 met item 0, and nothing else


def only(met: Events, vectors: np.ndarray, kept: list[int]) -> tuple[Events, np.ndarray]:
    """A world of the kept items alone."""
    number_of = {item: number for number, item in enumerate(kept)}
    some = met.where(np.isin(met.item, kept))
    item = np.array([number_of[item] for item in some.item], dtype=np.int32)
    return replace(some, item=item), vectors[kept]


def test_scores_add_up_the_rows_of_the_history():
    neighbours = Neighbours(np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32), np.eye(3, 2, dtype=np.float32) + 1)
    batch = HistoryBatch(
        np.array([[0, 1], [-1, 2]], dtype=np.int32), np.zeros((2, 2), dtype=np.int64), np.zeros(2, int)
    )
    scores = neighbours.score(batch, np.array([[0.5, 1.0], [0.0, 2.0]], dtype=np.float32))
    assert scores.tolist() == [[1.0, 1.0, 0.5 + 2.0], [2.0, 2.0, 0.0]]
