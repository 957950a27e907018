import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.blend import REGIMES
from training.history import History, Recency
from training.item_item import ItemItemConfig, fit_item_item
from training.llm_recommender import HEADS, LLMRecommender
from training.sequence_network import SequenceConfig
from training.sequence_training import train_sequence
from training.snapshot import Snapshot
from training.transitions import TransitionConfig, fit_transitions


@pytest.fixture(scope="module")
def snapshot(world) -> Snapshot:
    return world.snapshot(world.cuts()[1], seed=0)


@pytest.fixture(scope="module")
def recommender(snapshot: Snapshot, word_vectors, tmp_path_factory: pytest.TempPathFactory) -> LLMRecommender:
    vectors = word_vectors(snapshot.texts)
    config = SequenceConfig(embedding_size=16, max_length=16, learning_rate=0.02)
    sequence = train_sequence(
        snapshot.training, vectors, config, epochs=2, seed=0, folder=tmp_path_factory.mktemp("sequence")
    )
    weights = np.random.default_rng(0).normal(size=(len(REGIMES), len(HEADS))).astype(np.float32)
    weights[2, 3] = 0
    return LLMRecommender(
        item_ids=snapshot.item_ids,
        item_vectors=vectors,
        popularity=snapshot.latest_popularity,
        item_item=fit_item_item(snapshot.training, vectors, ItemItemConfig(ridge=5, text_weight=5)),
        transitions=fit_transitions(snapshot.training, snapshot.n_items, TransitionConfig()),
        sequence=sequence.export(),
        weights=weights,
        recency=Recency(0.7, 0.9, 0.8),
    )


@pytest.fixture(scope="module")
def moments(snapshot: Snapshot):
    targets = snapshot.targets()
    tables, table_of = snapshot.popularity.steps(targets.now, snapshot.n_items)
    return snapshot.histories(targets), tables, table_of


def history_of(batch, row: int) -> History:
    return History(batch.items[row][batch.is_item[row]], batch.times[row][batch.is_item[row]])


def test_evaluation_in_batches_scores_as_serving_does(recommender, moments):
    batch, tables, table_of = moments
    together = recommender.score_batch(batch, tables, table_of)
    for row in range(len(batch)):
        alone = recommender.score(history_of(batch, row), int(batch.now[row]), tables[table_of[row]])
        assert np.allclose(alone, together[row], atol=1e-4), row


def test_parts_add_up_to_the_score(recommender, moments):
    batch, tables, table_of = moments
    history, now = history_of(batch, 5), int(batch.now[5])
    parts = recommender.parts(history, now, tables[table_of[5]])
    assert np.array_equal(np.sum(list(parts.values()), axis=0), recommender.score(history, now, tables[table_of[5]]))
    assert set(parts) <= set(HEADS)


def test_a_stranger_gets_finite_scores_from_trends_alone(recommender):
    nobody = History(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64))
    parts = recommender.parts(nobody, 10**15, None)
    assert {head for head, part in parts.items() if part.any()} == {head for head in HEADS if head.startswith("trend")}
    assert np.isfinite(recommender.score(nobody, 10**15, None)).all()


def test_without_fresh_popularity_the_bundle_s_own_is_used(recommender, moments):
    history = history_of(moments[0], 3)
    now = int(moments[0].now[3])
    own = recommender.score(history, now, recommender.popularity)
    assert np.array_equal(recommender.score(history, now, None), own)
    assert not np.allclose(recommender.score(history, now, recommender.popularity[::-1]), own)


def test_a_click_changes_the_scores(recommender, moments):
    batch = moments[0]
    history, now = history_of(batch, 3), int(batch.now[3])
    clicked = History(np.append(history.item_indices, np.int32(0)), np.append(history.occurred_at_us, now))
    assert not np.allclose(recommender.score(history, now), recommender.score(clicked, now))


def test_a_saved_recommender_is_loaded_as_it_was(recommender, moments, tmp_path: Path):
    recommender.save(tmp_path)
    loaded = LLMRecommender.load(tmp_path)
    batch, tables, table_of = moments
    assert np.array_equal(loaded.score_batch(batch, tables, table_of), recommender.score_batch(batch, tables, table_of))
    assert loaded.item_ids == recommender.item_ids
    assert {path.suffix for path in tmp_path.iterdir()} <= {".safetensors", ".npy", ".onnx", ".json"}


def test_a_recommender_without_sequence_head_is_saved_too(recommender, tmp_path: Path):
    replace(recommender, sequence=None).save(tmp_path)
    assert LLMRecommender.load(tmp_path).sequence is None


def test_a_folder_of_another_format_is_refused(recommender, tmp_path: Path):
    recommender.save(tmp_path)
    described = json.loads((tmp_path / "recommender.json").read_text()) | {"heads": ["magic"]}
    (tmp_path / "recommender.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match=r"heads is .'magic'.*train again"):
        LLMRecommender.load(tmp_path)


def test_similar_items_share_the_topic(recommender, snapshot):
    index = snapshot.item_ids.index("i045")  # i030 … i059 are about space
    similar = recommender.similar(index, 5)
    assert len(similar) == 5
    assert index not in {other for other, _ in similar}
    assert {int(snapshot.item_ids[other][1:]) // 30 for other, _ in similar} == {1}


def test_similar_items_end_with_the_catalogue(recommender):
    assert len(recommender.similar(0, 10_000)) == recommender.n_items - 1


def test_heads_can_be_switched_off_and_stand_alone(recommender, moments):
    history, now = history_of(moments[0], 4), int(moments[0].now[4])
    assert "text" not in recommender.without("text").parts(history, now)
    assert set(recommender.only("text").parts(history, now)) == {"text"}


def test_loading_and_scoring_need_no_torch(recommender, tmp_path: Path):
    recommender.save(tmp_path)
    code = (
        "import sys, pathlib, numpy as np\n"
        "from training.llm_recommender import LLMRecommender\n"
        "from training.history import History\n"
        "loaded = LLMRecommender.load(pathlib.Path(sys.argv[1]))\n"
        "loaded.score(History(np.array([0, 1], dtype=np.int32), np.array([1, 2])), 3)\n"
        "loaded.similar(0, 3)\n"
        "assert not {'torch', 'scipy', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_debias_takes_its_share_of_popularity_from_users_with_a_history(recommender):
    # Three items that 0, 1 and e²−1 people have met: popularity 0, log 2 and 2. Their mean is .898 and their spread
    # .828, so z is −1.084, −.247 and 1.331, and ±log(1 + |z|) is −.734, −.221 and .846.
    counts = np.zeros((3, 4), dtype=np.float32)
    counts[:, 3] = 0, 1, np.e**2 - 1
    popularity = np.array([-0.734, -0.221, 0.846])
    ids = recommender.item_ids[:3]
    plain = replace(
        recommender,
        item_ids=ids,
        item_vectors=np.eye(3, dtype=np.float32),
        weights=np.zeros_like(recommender.weights),
    ).with_weights(np.tile(np.where(np.array(HEADS) == "trend_all", np.float32(0.3), 0), (len(REGIMES), 1)))
    somebody, nobody = History(np.array([1]), np.array([0])), History(np.array([], dtype=np.int32), np.array([]))
    debiased = plain.debiased(0.5)
    assert debiased.score(somebody, 10, counts) == pytest.approx((0.3 - 0.5) * popularity, abs=1e-3)
    assert debiased.score(nobody, 10, counts) == pytest.approx(0.3 * popularity, abs=1e-3)
    assert debiased.debiased(0.5).score(somebody, 10, counts) == pytest.approx(-0.2 * popularity, abs=1e-3)
    assert debiased.debiased(0).weights == pytest.approx(plain.weights)
    with pytest.raises(ValueError, match="give 0 or more"):
        plain.debiased(-0.1)


def test_a_debias_is_kept_with_the_model(recommender, tmp_path):
    recommender.debiased(0.25).save(tmp_path)
    loaded = LLMRecommender.load(tmp_path)
    assert loaded.debias == 0.25
    assert loaded.debiased(0).weights == pytest.approx(recommender.weights, abs=1e-6)


def test_what_words_say_counts_again_for_an_item_as_far_as_training_did_not_know_it(recommender, moments):
    history, now = history_of(moments[0], 4), int(moments[0].now[4])
    counts = np.zeros_like(recommender.popularity)
    counts[:4, 3] = 0, 5, 495, 15
    some = replace(recommender, popularity=counts)
    text, new = (some.only(head).parts(history, now)[head] for head in ("text", "text_new"))
    assert new[:4] == pytest.approx(text[:4] * [1, 1 / 2, 1 / 100, 1 / 4], abs=1e-6)
