"""A short list says of its items what the whole recommender says of them, and holds the best of what may be shown."""

from dataclasses import replace

import numpy as np
import pytest

from training import quick_scores
from training.blend import REGIMES
from training.history import History, HistoryBatch, Recency
from training.item_index import LinearHead
from training.llm_recommender import HEADS, LLMRecommender
from training.neighbours import Neighbours
from training.new_items import extended
from training.quick_scores import QuickScores
from training.trend import TRENDS

N_ITEMS, HOUR = 6_000, 3_600_000_000
NOW = 1_000 * HOUR


def unit_vectors(dice, n_items=N_ITEMS):
    """A hundred topics, items around them."""
    centres = dice.normal(size=(100, 32))
    vectors = centres[np.arange(n_items) % 100] + 0.5 * dice.normal(size=(n_items, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def neighbours(dice):
    items = dice.integers(0, N_ITEMS, (N_ITEMS, 30)).astype(np.int32)
    return Neighbours(items, dice.normal(0.2, 0.5, (N_ITEMS, 30)).astype(np.float32))


@pytest.fixture(scope="module")
def recommender():
    dice = np.random.default_rng(0)
    weights = dice.uniform(0.1, 1.0, (len(REGIMES), len(HEADS))).astype(np.float32)
    weights[:, HEADS.index("trend_all")] *= -1
    weights[2, HEADS.index("text")] = 0
    return LLMRecommender(
        item_ids=[f"i{number}" for number in range(N_ITEMS)],
        item_vectors=unit_vectors(dice),
        popularity=dice.poisson(5, (N_ITEMS, 4)).astype(np.float32),
        item_item=neighbours(dice),
        transitions=neighbours(dice),
        sequence=None,
        weights=weights,
        recency=Recency(0.7, 0.9, 0.8),
    )


@pytest.fixture(scope="module", params=["written out", "by cells"])
def quick(request, recommender):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quick_scores, "WRITTEN_OUT", N_ITEMS + 100 if request.param == "written out" else 0)
        yield QuickScores.of(recommender)


def everything(n_items=N_ITEMS):
    return np.ones(n_items, dtype=bool)


def asked_after(length, seed=1):
    dice = np.random.default_rng(seed)
    times = NOW - np.arange(length, 0, -1, dtype=np.int64) * HOUR // 3
    return HistoryBatch.of([History(dice.integers(0, N_ITEMS, length).astype(np.int32), times)], [NOW])


def exact_best(recommender, batch, n, may_be_shown):
    scores = np.sum(list(recommender.parts_at(batch).values()), axis=0)
    return np.argsort(np.where(may_be_shown, -scores, np.inf), kind="stable")[:n]


@pytest.mark.parametrize("length", [0, 1, 5, 19, 20, 80])
def test_a_short_list_scores_its_items_as_the_recommender_does(quick, recommender, length):
    batch = asked_after(length)
    found = quick.shortlist(batch, 10, everything())
    exact = recommender.parts_at(batch)
    assert set(found.parts) == set(exact)
    for head, part in found.parts.items():
        assert np.allclose(part, exact[head][found.items], atol=2e-5), head
    assert len(set(found.items.tolist())) == len(found.items) < N_ITEMS


@pytest.mark.parametrize("length", [0, 5, 80])
def test_almost_all_of_the_exact_hundred_are_on_it(quick, recommender, length):
    shares = []
    for seed in range(5):
        batch = asked_after(length, seed)
        found = quick.shortlist(batch, 100, everything())
        shares.append(np.isin(exact_best(recommender, batch, 100, everything()), found.items).mean())
    assert np.mean(shares) >= 0.95


def test_items_that_words_alone_can_lift_into_the_best_are_on_it(recommender):
    by_words = recommender.with_weights(recommender.weights.copy())
    by_words.weights[:, HEADS.index("text")] = 3
    indexed = replace(QuickScores.of(by_words), text=LinearHead.of(recommender.item_vectors, scanned_cells=0))
    for seed in range(5):
        batch = asked_after(5, seed)
        found = indexed.shortlist(batch, 10, everything())
        assert set(exact_best(by_words, batch, 10, everything())) <= set(found.items), seed


def test_of_items_hardly_known_those_that_read_best_are_on_it(recommender):
    counts = recommender.popularity + 100
    counts[::3] = 0
    by_words = replace(recommender, popularity=counts, weights=recommender.weights.copy())
    by_words.weights[:, HEADS.index("text_new")] = 3
    indexed = replace(QuickScores.of(by_words), text=LinearHead.of(recommender.item_vectors, scanned_cells=0))
    shares = []
    for seed in range(5):
        batch = asked_after(5, seed)
        found = indexed.shortlist(batch, 10, everything())
        shares.append(np.isin(exact_best(by_words, batch, 10, everything()), found.items).mean())
    assert np.mean(shares) >= 0.9


def test_somebody_who_has_met_all_the_leaders_still_gets_the_best_of_the_rest(quick, recommender):
    shares = []
    for seed in range(5):
        batch = asked_after(80, seed)
        scores = np.sum(list(recommender.parts_at(batch).values()), axis=0)
        may_be_shown = scores < np.sort(scores)[-300]
        found = quick.shortlist(batch, 10, may_be_shown, n_met=300)
        shares.append(np.isin(exact_best(recommender, batch, 10, may_be_shown), found.items).mean())
    assert np.mean(shares) >= 0.9


def test_one_question_leaves_no_trace_for_the_next(quick):
    first = asked_after(30)
    before = quick.shortlist(first, 10, everything())
    quick.shortlist(asked_after(80, seed=7), 10, np.arange(N_ITEMS) >= 500)
    after = quick.shortlist(first, 10, everything())
    assert np.array_equal(before.items, after.items)
    assert np.array_equal(before.scores(), after.scores())


def test_what_may_not_be_shown_is_not_on_it(quick):
    may_be_shown = np.arange(N_ITEMS) % 3 > 0
    found = quick.shortlist(asked_after(30), 10, may_be_shown)
    assert may_be_shown[found.items].all()


def test_a_stranger_gets_what_is_popular_of_what_may_be_shown(quick, recommender):
    batch = asked_after(0)
    scores = np.sum([recommender.parts_at(batch)[head] for head in TRENDS], axis=0)
    may_be_shown = scores < np.sort(scores)[-300]
    found = quick.shortlist(batch, 10, may_be_shown)
    assert set(np.argsort(np.where(may_be_shown, -scores, np.inf), kind="stable")[:10]) <= set(found.items)


def test_where_too_little_may_be_shown_everything_has_to_be_scored(quick):
    assert quick.shortlist(asked_after(30), 10, np.arange(N_ITEMS) >= N_ITEMS - 5) is None


def test_where_somebody_has_met_much_of_the_catalogue_everything_has_to_be_scored(quick):
    assert quick.shortlist(asked_after(30), 10, everything(), n_met=N_ITEMS // 3) is None


def test_a_small_catalogue_is_scored_whole(recommender):
    few = replace(recommender, item_ids=recommender.item_ids[: quick_scores.SMALLEST_CATALOGUE - 1])
    assert QuickScores.of(few) is None


def test_items_that_came_after_the_training_are_on_it_with_the_scores_of_the_grown_recommender(quick, recommender):
    new = unit_vectors(np.random.default_rng(9), 7)
    grown = extended(extended(recommender, ["new0", "new1"], new[:2]), [f"new{n}" for n in range(2, 7)], new[2:])
    batch = asked_after(30)
    indexed = replace(quick, text=LinearHead.of(recommender.item_vectors, scanned_cells=0))
    found = indexed.grown(grown).shortlist(batch, 7, np.arange(N_ITEMS + 7) >= N_ITEMS)
    assert found.items.tolist() == list(range(N_ITEMS, N_ITEMS + 7))
    for head, part in grown.parts_at(batch).items():
        assert np.allclose(found.parts[head], part[found.items], atol=2e-5), head


@pytest.mark.parametrize("with_bias", [False, True])
def test_mean_and_spread_go_along_with_items_that_come_later(with_bias):
    vectors = unit_vectors(np.random.default_rng(9), 500)
    vectors[400:] += 1  # of another kind than those of before
    bias = np.linspace(-1, 1, 500, dtype=np.float32) if with_bias else None
    some = [None if bias is None else bias[:n] for n in (300, 450, 500)]
    grown = LinearHead.of(vectors[:300], some[0]).grown(vectors[:450], some[1]).grown(vectors, some[2])
    whole = LinearHead.of(vectors, bias)
    assert np.allclose(grown.mean, whole.mean, atol=1e-5)
    assert np.allclose(grown.covariance, whole.covariance, atol=1e-5)


@pytest.mark.parametrize("length", [0, 30])
def test_all_items_are_scored_as_the_recommender_scores_them(quick, recommender, length):
    counts = np.random.default_rng(5).poisson(9, (N_ITEMS, 4)).astype(np.float32)
    batch = asked_after(length)
    found, exact = quick.with_popularity(counts).parts_at(batch), recommender.parts_at(batch, counts)
    assert list(found) == list(exact)
    for head, part in exact.items():
        assert np.array_equal(found[head], part), head


def test_fresher_counts_change_the_trends_alone(quick, recommender):
    counts = np.random.default_rng(5).poisson(9, (N_ITEMS, 4)).astype(np.float32)
    batch = asked_after(30)
    found = quick.with_popularity(counts).shortlist(batch, 10, everything())
    for head, part in recommender.parts_at(batch, counts).items():
        assert np.allclose(found.parts[head], part[found.items], atol=2e-5), head


def test_an_index_finds_most_of_the_best_and_knows_the_spread_of_all():
    dice = np.random.default_rng(3)
    vectors, bias = unit_vectors(dice), dice.normal(0, 0.1, N_ITEMS).astype(np.float32)
    head = LinearHead.of(vectors, bias, scanned_cells=0)
    shares = []
    for query in vectors[:20]:
        exact, answer = vectors @ query + bias, head.asked(query)
        assert np.abs(exact).max() <= answer.furthest()
        assert np.allclose(answer.moments(), (exact.mean(), exact.std()), atol=1e-5)
        assert np.allclose(answer.at(np.arange(50)), exact[:50], atol=1e-5)
        shares.append(np.isin(np.argsort(-exact)[:100], answer.favourites(400, everything())).mean())
    assert np.mean(shares) >= 0.95
