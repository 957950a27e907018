from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.blend import REGIMES
from training.history import History, HistoryBatch, Recency
from training.item_item import ItemItemConfig, fit_item_item
from training.llm_recommender import HEADS, LLMRecommender
from training.neighbours import Neighbours
from training.new_items import extended, first_items, likeness_of
from training.sequence_head import SequenceHead
from training.sequence_network import SequenceConfig
from training.sequence_training import train_sequence
from training.transitions import TransitionConfig, fit_transitions

HIDDEN = ["i007", "i045", "i071", "i110"]
"""One of each topic; thirty items each."""


@pytest.fixture(scope="module")
def whole(world):
    return world.snapshot(world.cuts()[1], seed=0)


@pytest.fixture(scope="module")
def recommender(whole, word_vectors, tmp_path_factory: pytest.TempPathFactory) -> LLMRecommender:
    """Trained on a world in which four items do not occur."""
    kept = np.array([index for index, item_id in enumerate(whole.item_ids) if item_id not in HIDDEN])
    snapshot = whole.restricted(kept)
    vectors = word_vectors(snapshot.texts)
    config = SequenceConfig(embedding_size=16, max_length=16, learning_rate=0.02)
    folder = tmp_path_factory.mktemp("sequence")
    sequence = train_sequence(snapshot.training, vectors, config, epochs=3, seed=0, folder=folder)
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    weights[:, [HEADS.index(head) for head in ("item_item", "sequence", "text", "transitions")]] = 1
    return LLMRecommender(
        item_ids=snapshot.item_ids,
        item_vectors=vectors,
        popularity=snapshot.latest_popularity,
        item_item=fit_item_item(snapshot.training, vectors, ItemItemConfig(ridge=5, text_weight=5)),
        transitions=fit_transitions(snapshot.training, snapshot.n_items, TransitionConfig()),
        sequence=sequence.export(),
        weights=weights,
        recency=Recency(),
    )


@pytest.fixture(scope="module")
def grown(recommender, whole, word_vectors) -> LLMRecommender:
    texts = [whole.texts[whole.item_ids.index(item_id)] for item_id in HIDDEN]
    return extended(recommender, HIDDEN, word_vectors(texts))


@pytest.fixture(scope="module")
def fans(grown, whole) -> dict[int, list[History]]:
    """By topic, the histories of all who met mostly things of it, without the hidden ones."""
    index_of = {item_id: index for index, item_id in enumerate(grown.item_ids)}
    found: dict[int, list[History]] = {0: [], 1: [], 2: [], 3: []}
    events = whole.training
    for user in np.unique(events.user):
        own = events.where(events.user == user)
        ids = [whole.item_ids[item] for item in own.item]
        topic = int(np.bincount([int(item_id[1:]) // 30 for item_id in ids]).argmax())
        known = [row for row, item_id in enumerate(ids) if item_id not in HIDDEN]
        items = np.array([index_of[ids[row]] for row in known], dtype=np.int32)
        found[topic].append(History(items, own.occurred_at[known]))
    return found


@pytest.mark.parametrize("head", [None, "item_item", "sequence", "text", "transitions"])
def test_a_new_item_is_found_by_who_likes_its_topic(grown, fans, head):
    model = grown if head is None else grown.only(head)
    topic = np.array([int(item_id[1:]) // 30 for item_id in grown.item_ids])
    places = []
    for number, histories in fans.items():
        new = grown.item_ids.index(HIDDEN[number])
        assert topic[new] == number
        for history in histories:
            scores = model.score(history, int(history.occurred_at_us[-1]) + 1)
            places.append((scores > scores[new]).mean())
    assert np.mean(places) < 0.3  # by chance .5; nothing of the same topic stands behind the first quarter


def test_a_new_item_in_a_history_speaks_for_its_topic(grown):
    for head in ("item_item", "sequence", "text", "transitions"):
        for number, item_id in enumerate(HIDDEN):
            history = History(np.array([grown.item_ids.index(item_id)], dtype=np.int32), np.array([10**15]))
            scores = grown.only(head).score(history, 10**15 + 1)
            topic = np.array([int(item_id[1:]) // 30 for item_id in grown.item_ids])
            assert scores[topic == number].mean() > scores[topic != number].mean(), head


def test_what_the_model_knew_keeps_its_order(recommender, grown, fans):
    for history in fans[2][:5]:
        for head in ("item_item", "sequence", "text", "transitions"):
            before = recommender.only(head).score(history, 10**16)
            after = grown.only(head).score(history, 10**16)[: recommender.n_items]
            assert np.array_equal(np.argsort(-before, kind="stable")[:20], np.argsort(-after, kind="stable")[:20])


def test_a_grown_model_was_once_smaller(recommender, grown, fans):
    history = fans[1][0]
    n_known = recommender.n_items
    assert np.array_equal(first_items(grown, n_known).score(history, 10**16), recommender.score(history, 10**16))
    one_more = first_items(grown, n_known + 1)
    assert one_more.item_ids == [*recommender.item_ids, HIDDEN[0]]
    assert one_more.score(history, 10**16).shape == (n_known + 1,)
    assert first_items(grown, grown.n_items) is grown


def test_a_new_item_is_scored_as_the_items_it_reads_like():
    known = Neighbours(
        np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32), np.array([[4, 1], [2, 3], [6, 5]], dtype=np.float32)
    )
    vectors = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], dtype=np.float32)
    nothing = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    model = LLMRecommender(
        ["a", "b", "c"], vectors, np.ones((3, 4), dtype=np.float32), known, known, None, nothing, Recency(), (0.5,) * 5
    )
    grown = extended(model, ["d"], np.array([[1, 0, 0]], dtype=np.float32))  # shares 1 of a and .6 of b, over 1.6
    history = HistoryBatch.of([History(np.array([2], dtype=np.int32), np.array([1]))], [2])
    weights = np.ones((1, 1), dtype=np.float32)
    assert grown.item_item.score(history, weights)[0].tolist() == pytest.approx([6, 5, 0, (6 + 0.6 * 5) / 1.6])
    from_new = HistoryBatch.of([History(np.array([3], dtype=np.int32), np.array([1]))], [2])
    # Its row is (2·.6 for a, 4·1 for b, 1 + 3·.6 for c) / 1.6, of which the strongest two stay.
    assert grown.item_item.score(from_new, weights)[0].tolist() == pytest.approx(
        [0, 4 / 1.6, 2.8 / 1.6, 0.6 / 1.6 * 4 / 1.6]
    )


def test_items_that_nobody_met_are_followed_only_where_there_are_no_others():
    known = np.eye(3, dtype=np.float32)
    new = np.array([[0.8, 0.6, 0]], dtype=np.float32)
    followed = likeness_of(known, np.array([0, 5, 0], dtype=np.float32), new)
    assert (followed.items.tolist(), followed.shares.tolist()) == ([[1]], [[1.0]])
    followed = likeness_of(known, np.zeros(3, dtype=np.float32), new)
    shares = dict(zip(followed.items[0].tolist(), followed.shares[0].tolist(), strict=True))
    assert shares == pytest.approx({0: 0.8 / 1.4, 1: 0.6 / 1.4, 2: 0})


def test_an_item_that_reads_like_nothing_follows_nothing():
    followed = likeness_of(np.eye(2, dtype=np.float32), np.ones(2), -np.ones((1, 2), dtype=np.float32))
    assert followed.shares.tolist() == [[0, 0]]


def test_the_sequence_head_knows_a_new_item_by_its_text_alone(recommender, grown):
    head, before = grown.sequence, recommender.sequence
    assert isinstance(head, SequenceHead) and isinstance(before, SequenceHead)
    met = recommender.popularity[:, -1]
    vector = grown.item_vectors[-1]
    assert np.allclose(head.item_table[-1], vector @ before.adaptor[:-1] + before.adaptor[-1], atol=1e-6)
    assert head.item_bias[-1] == pytest.approx(before.item_bias[met <= max(5, met.min())].mean(), abs=1e-6)


def test_a_saved_model_can_still_grow(recommender, grown, whole, word_vectors, fans, tmp_path: Path):
    recommender.save(tmp_path)
    again = extended(LLMRecommender.load(tmp_path), HIDDEN, grown.item_vectors[-len(HIDDEN) :])
    assert np.array_equal(again.score(fans[0][0], 10**16), grown.score(fans[0][0], 10**16))


def test_a_model_that_has_grown_can_be_saved(grown, fans, tmp_path: Path):
    grown.save(tmp_path)
    again = LLMRecommender.load(tmp_path)
    history = fans[0][0]
    assert again.item_ids == grown.item_ids
    assert np.allclose(again.only("text").score(history, 10**16), grown.only("text").score(history, 10**16))
    for head in ("item_item", "transitions"):
        [saved, shown] = [getattr(model, head).of(np.arange(grown.n_items)) for model in (again, grown)]
        assert np.array_equal(saved, shown)


def test_what_was_trained_is_not_copied_for_a_new_item(recommender, grown):
    for head in ("item_item", "transitions"):
        assert getattr(grown, head).items is getattr(recommender, head).items
        assert getattr(grown, head).weights is getattr(recommender, head).weights


def test_vectors_of_another_space_are_refused(recommender):
    with pytest.raises(ValueError, match=r"1 new items have vectors of shape \(1, 3\): check their whitening"):
        extended(recommender, ["x"], np.ones((1, 3), dtype=np.float32))


def test_growing_twice_is_growing_once(recommender, grown, fans):
    vectors = grown.item_vectors[-len(HIDDEN) :]
    again = extended(extended(recommender, HIDDEN[:1], vectors[:1]), HIDDEN[1:], vectors[1:])
    assert again.item_ids == grown.item_ids
    for history in fans[3][:3]:
        assert np.allclose(again.score(history, 10**16), grown.score(history, 10**16), atol=1e-5)
    assert first_items(again, recommender.n_items + 2).n_items == recommender.n_items + 2


def test_no_new_items_change_nothing(recommender):
    assert extended(recommender, [], np.empty((0, 8), dtype=np.float32)) is recommender


def test_a_model_without_sequence_head_grows_too(recommender, grown):
    plain = extended(replace(recommender, sequence=None), HIDDEN, grown.item_vectors[-len(HIDDEN) :])
    assert plain.sequence is None
    assert plain.n_items == grown.n_items
