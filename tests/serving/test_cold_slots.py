"""Places kept for what hardly anybody knows, by hand: nobody has met food-8, five people food-9, a hundred the rest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nearline.session_features import RecentEvent, UserState, to_us
from serving.current_snapshot import CurrentSnapshot
from serving.online_features import Popularity
from serving.ranking import rank
from serving.rules import Rule, Rules
from serving.scenarios import SCENARIOS
from serving.schemas import ModelRef
from serving.snapshot import ServedModel
from serving.wishes import Wish
from tests.serving.worlds import ITEM_IDS, catalogue_table, recommender_for

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
SEEN = UserState("u1", (RecentEvent("e1", "sea-4", "view", None, to_us(NOW - timedelta(minutes=1))),), frozenset(), NOW)


def snapshot(**rare):
    """Everybody has met everything but these."""
    counts = {item_id: (1, 1, 1, rare.get(item_id.replace("-", "_"), 100)) for item_id in ITEM_IDS}
    current, recommender = CurrentSnapshot(), recommender_for("sea")
    index = {item_id: place for place, item_id in enumerate(recommender.item_ids)}
    ref = ModelRef(name="freshet-recommender", version="1", alias="champion")
    current.set_model(ServedModel(ref, recommender, index, catalogue_table(ITEM_IDS), knows_strangers=True))
    current.set_catalogue(None, Popularity(counts, NOW), frozenset())
    return current.snapshot


def listed(n, cold_slots, excluded=(), rules=(), **rare):
    world = snapshot(**rare or {"food_8": 0, "food_9": 5, "food_7": 6})
    parsed = Rules.of([Rule.model_validate(rule) for rule in rules])
    wish = Wish(replace(SCENARIOS["basket"], cold_slots=cold_slots, rules=parsed))
    lines = rank(world, SEEN, n, frozenset(["sea-4", *excluded]), NOW, wish.on(world))
    return [(line.item_id, line.source) for line in lines]


def of_model(*item_ids):
    return [(item_id, "model") for item_id in item_ids]


@pytest.mark.parametrize(
    ("n", "slots", "warm", "cold"),
    [
        (4, 0, ["sea-3", "sea-5", "sea-2", "sea-6"], []),
        (4, 1, ["sea-3", "sea-5", "sea-2"], ["food-9"]),
        (4, 2, ["sea-3", "sea-5"], ["food-9", "food-8"]),
        (4, 3, ["sea-3", "sea-5"], ["food-9", "food-8"]),  # there are only two
        (2, 3, ["sea-3"], ["food-9"]),  # the first place is never one of them
        (1, 1, ["sea-3"], []),
    ],
)
def test_the_last_lines_give_way_to_the_best_that_nobody_knows(n, slots, warm, cold):
    assert listed(n, slots) == [*of_model(*warm), *((item_id, "cold_slot") for item_id in cold)]


def test_a_list_that_has_them_by_itself_stays_as_it_is():
    assert listed(3, 1, sea_5=0, food_8=0) == of_model("sea-3", "sea-5", "sea-2")
    assert listed(3, 2, sea_5=0, food_8=0) == [*of_model("sea-3", "sea-5"), ("food-8", "cold_slot")]


def test_what_must_not_be_shown_takes_no_place():
    assert listed(3, 1, excluded=["food-9"], sea_9=0, space_9=0, food_9=0) == of_model("sea-3", "sea-5", "sea-2")


def test_pins_and_kept_places_stand_side_by_side():
    lines = listed(4, 1, rules=[{"pin": "space-1", "at": 4}])
    assert lines == [*of_model("sea-3", "sea-5"), ("food-9", "cold_slot"), ("space-1", "pinned")]


def test_a_buried_item_takes_no_kept_place():
    rules = [{"bury": "last", "where": {"categories": {"any_of": ["food"]}}}]
    assert listed(3, 1, rules=rules) == of_model("sea-3", "sea-5", "sea-2")
