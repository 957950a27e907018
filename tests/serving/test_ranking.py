"""The order of a list, worked by hand on a model of thirty items."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from nearline.session_features import RecentEvent, UserState, to_us
from serving.catalogue import Catalogue, CatalogueItem
from serving.champion import load_model
from serving.current_snapshot import CurrentSnapshot
from serving.online_features import NO_POPULARITY, Popularity
from serving.popular_items import PopularItems
from serving.ranking import rank, top_n
from training.blend import REGIMES
from training.bundle import write_bundle
from training.llm_recommender import HEADS

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def snapshot_for(make_recommender, make_catalogue, tmp_path):
    """A snapshot around a model, with chosen weights for strangers."""

    def make(popularity=NO_POPULARITY, **strangers):
        recommender = make_recommender("sea")
        if strangers:
            recommender.weights[REGIMES.index("no_history")] = 0
            for head, weight in strangers.items():
                recommender.weights[REGIMES.index("no_history"), HEADS.index(head)] = weight
        items = make_catalogue(recommender.item_ids)
        write_bundle(tmp_path / "b", recommender, items, text_encoder={}, data={}, config={}, created_from={})
        current = CurrentSnapshot()
        current.set_model(load_model(1, tmp_path / "b"))
        current.set_catalogue(None, popularity, frozenset())
        return current.snapshot

    return make


def met(*item_ids, event_type="view"):
    recent = tuple(
        RecentEvent(f"e{number}", item_id, event_type, None, to_us(NOW - timedelta(minutes=len(item_ids) - number)))
        for number, item_id in enumerate(item_ids)
    )
    return UserState("u1", recent, frozenset(item_ids), NOW)


def ids(lines):
    return [line.item_id for line in lines]


def test_a_stranger_is_never_shown_what_is_merely_unpopular(snapshot_for):
    popularity = Popularity({"food-1": (1, 5, 5, 5), "sea-3": (0, 2, 9, 9)}, NOW)
    snapshot = snapshot_for(popularity, trend_all=-0.1, item_item=1.0)
    lines = rank(snapshot, UserState("stranger"), 2, frozenset(), NOW)
    assert [(line.item_id, line.source) for line in lines] == [("food-1", "popular"), ("sea-3", "popular")]
    assert lines[0].reason == "Popular: people chose it 5 times in the last 7 days."


def test_each_line_names_the_item_that_speaks_most_for_it(snapshot_for):
    lines = rank(snapshot_for(), met("food-8", "sea-1"), 30, frozenset(), NOW)
    reasons = {line.item_id: line.reason for line in lines}
    assert reasons["sea-2"] == "Goes with “Sea number 1”, which you chose."
    assert reasons["food-7"] == "Goes with “Food number 8”, which you chose."


def test_a_user_of_unknown_items_is_a_stranger_to_the_model(snapshot_for):
    lines = rank(snapshot_for(), met("never-1", "never-2"), 1, frozenset(), NOW)
    assert lines[0].source == "cold_start"


def test_a_user_who_has_seen_everything_gets_nothing_twice(snapshot_for, make_recommender):
    everything = make_recommender("sea").item_ids
    assert rank(snapshot_for(), met(*everything), 10, frozenset(), NOW) == []


@pytest.mark.parametrize("n", [1, 3, 5, 9])
def test_the_largest_scores_come_first_and_ties_by_place(n):
    scores = np.array([1, 3, 3, -np.inf, 2], dtype=np.float32)
    assert top_n(scores, n).tolist() == [1, 2, 4, 0][:n]


def test_popular_means_this_week_before_this_month_before_ever():
    items = {name: CatalogueItem(name, None, (), None, is_available=True) for name in ("a", "b", "c", "d")}
    counts = {"a": (0, 0, 0, 90), "b": (0, 0, 5, 9), "c": (1, 1, 1, 1)}
    ranked = PopularItems.of(Catalogue(items), Popularity(counts, NOW))
    assert [line.item_id for line in ranked] == ["c", "b", "a", "d"]
    assert [line.reason for line in ranked] == [
        "Popular: people chose it once in the last 7 days.",
        "Popular: people chose it 5 times in the last 30 days.",
        "Popular: people chose it 90 times so far.",
        "New here: nobody has chosen it yet.",
    ]
