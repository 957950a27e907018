import numpy as np
import pytest

from training.blend import REGIMES
from training.debias import STRENGTHS, Strengths, markdown_of, trade_off
from training.history import Recency
from training.llm_recommender import HEADS, LLMRecommender
from training.snapshot import Snapshot
from training.transitions import TransitionConfig, fit_transitions


@pytest.fixture(scope="module")
def snapshot(world) -> Snapshot:
    return world.snapshot(world.cuts()[1], seed=0)


@pytest.fixture(scope="module")
def judged(snapshot: Snapshot, word_vectors) -> LLMRecommender:
    """Transitions and popularity, no more: quick, and popular items lead."""
    transitions = fit_transitions(snapshot.training, snapshot.n_items, TransitionConfig())
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    weights[:, [HEADS.index("transitions"), HEADS.index("trend_all")]] = 0.3, 0.6
    return LLMRecommender(
        item_ids=snapshot.item_ids,
        item_vectors=word_vectors(snapshot.texts),
        popularity=snapshot.latest_popularity,
        item_item=transitions,
        transitions=transitions,
        sequence=None,
        weights=weights,
        recency=Recency(),
    )


@pytest.fixture(scope="module")
def steps(judged: LLMRecommender, snapshot: Snapshot):
    return trade_off(judged, snapshot, snapshot.targets(), seed=0)


def test_one_pass_scores_every_strength_as_the_debiased_model_does(judged, snapshot):
    targets = snapshot.targets()
    tables, table_of = snapshot.popularity.steps(targets.now, snapshot.n_items)
    batch = snapshot.histories(targets)
    for name, scores in Strengths(judged.debiased(0.3)).score_many(batch, tables, table_of):
        assert scores == pytest.approx(judged.debiased(float(name)).score_batch(batch, tables, table_of), abs=1e-5)


def test_popular_items_give_way_to_others_as_the_strength_rises(steps):
    assert [step.strength for step in steps] == list(STRENGTHS)
    none, most = steps[0], steps[-1]
    assert most.popularity_lift < none.popularity_lift
    assert most.novelty > none.novelty
    assert none.ndcg_change == 0
    assert none.ndcg_change_interval == (0, 0)
    for step in steps:
        assert step.ndcg_interval[0] <= step.ndcg_at_10 <= step.ndcg_interval[1]


def test_the_table_has_a_row_for_each_strength(steps):
    lines = markdown_of(steps).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {strength:g}" for strength in STRENGTHS]
    assert len({line.count("|") for line in lines}) == 1
