"""Pins, boosts and burials, worked by hand on thirty items of three topics; what a request forbids stays forbidden."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from freshet.settings import Settings, SettingsError
from nearline.session_features import RecentEvent, UserState, to_us
from serving.app import create_app
from serving.catalogue import Catalogue, CatalogueItem, from_table
from serving.current_snapshot import CurrentSnapshot
from serving.filters import ItemFilter
from serving.online_features import NO_POPULARITY
from serving.popular_items import PopularItems
from serving.ranking import rank
from serving.rules import Rule, Rules
from serving.scenarios import SCENARIOS, read_scenarios
from serving.schemas import ModelRef
from serving.snapshot import ServedModel
from serving.wishes import Wish
from training.blend import REGIMES
from training.history import Recency
from training.llm_recommender import HEADS, LLMRecommender
from training.neighbours import Neighbours
from training.quick_scores import QuickScores

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
OF_SEA, OF_SPACE, OF_FOOD = ({"categories": {"any_of": [topic]}} for topic in ("sea", "space", "food"))


def snapshot_of(recommender, catalogue, quick=None):
    current = CurrentSnapshot()
    index = {item_id: place for place, item_id in enumerate(recommender.item_ids)}
    ref = ModelRef(name="freshet-recommender", version="1", alias="champion")
    current.set_catalogue(catalogue, NO_POPULARITY, frozenset())
    model = ServedModel(ref, recommender, index, pa.table({}), knows_strangers=True, quick=quick)
    current.set_model(model)
    return current.snapshot


@pytest.fixture(scope="module")
def snapshot():
    from tests.serving.worlds import ITEM_IDS, catalogue_table, recommender_for

    return snapshot_of(recommender_for("sea"), from_table(catalogue_table(ITEM_IDS)))


def wish(*rules, scenario="home", **more):
    parsed = Rules.of([Rule.model_validate(rule) for rule in rules])
    return Wish(replace(SCENARIOS[scenario], rules=parsed), **more)


def met(*item_ids):
    times = [to_us(NOW - timedelta(minutes=len(item_ids) - place)) for place in range(len(item_ids))]
    recent = tuple(RecentEvent(item_id, item_id, "view", None, at) for item_id, at in zip(item_ids, times, strict=True))
    return UserState("u1", recent, frozenset(item_ids), NOW)


def listed(snapshot, wanted, n=3, excluded=(), state=None):
    return rank(snapshot, state or met("sea-4"), n, frozenset(excluded), NOW, wanted.on(snapshot))


def ids(lines):
    return [line.item_id for line in lines]


def test_without_rules_the_neighbours_of_what_was_met_lead(snapshot):
    assert ids(listed(snapshot, wish(), 5)) == ["sea-3", "sea-5", "sea-2", "sea-6", "sea-1"]


def test_a_pinned_item_stands_at_its_place_and_says_so(snapshot):
    lines = listed(snapshot, wish({"pin": "food-7", "at": 2, "because": "Dish of the week"}))
    assert ids(lines) == ["sea-3", "food-7", "sea-5"]
    assert [line.rank for line in lines] == [1, 2, 3]
    assert (lines[1].source, lines[1].score) == ("pinned", None)
    assert lines[1].reason == "Stands at place 2 by a rule: Dish of the week."
    assert {line.source for line in lines[::2]} == {"model"}


def test_several_pins_stand_at_their_places_whatever_their_order(snapshot):
    rules = {"pin": "food-7", "at": 3}, {"pin": "sea-6", "at": 1}
    assert ids(listed(snapshot, wish(*rules), 4)) == ["sea-6", "sea-3", "food-7", "sea-5"]
    assert ids(listed(snapshot, wish(*rules), 1)) == ["sea-6"]
    shorter = ids(listed(snapshot, wish({"pin": "sea-3", "at": 100}), 100))
    assert (len(shorter), shorter[0], shorter[-1]) == (27, "sea-5", "sea-3")


@pytest.mark.parametrize("item_id", ["sea-4", "food-1", "sea-9", "space-9", "unheard-of"])
def test_a_pin_shows_nothing_that_was_seen_excluded_not_to_be_had_or_unknown(snapshot, item_id):
    lines = listed(snapshot, wish({"pin": item_id, "at": 1}), excluded=["food-1"])
    assert ids(lines) == ["sea-3", "sea-5", "sea-2"]


def test_a_pin_shows_nothing_that_the_requests_filter_forbids(snapshot):
    only_food = ItemFilter.model_validate(OF_FOOD)
    assert ids(listed(snapshot, wish({"pin": "sea-1", "at": 1}, item_filter=only_food), 2)) == ["food-0", "food-1"]
    assert ids(listed(snapshot, wish({"pin": "food-5", "at": 1}, item_filter=only_food), 2)) == ["food-5", "food-0"]


def test_a_boost_is_added_to_the_score_and_named(snapshot):
    plain = {line.item_id: line.score for line in listed(snapshot, wish(), 27)}
    rules = {"boost": 10, "where": OF_FOOD, "because": "Harvest"}, {"boost": 5, "where": OF_SPACE}
    lines = listed(snapshot, wish(*rules), 27)
    topics = [line.item_id.partition("-")[0] for line in lines]
    assert topics == ["food"] * 10 + ["space"] * 9 + ["sea"] * 8
    assert lines[0].score == pytest.approx(plain["food-0"] + 10, abs=1e-5)
    assert lines[10].score == pytest.approx(plain["space-0"] + 5, abs=1e-5)
    assert lines[0].reason.endswith(" Moved up by a rule: Harvest.")
    assert lines[19].reason == "Goes with “Sea number 4”, which you chose."


def test_boosts_that_match_one_item_add_up_and_below_zero_they_hold_back(snapshot):
    rules = {"boost": -10, "where": OF_SEA}, {"boost": 4, "where": OF_FOOD}, {"boost": -7, "where": OF_FOOD}
    lines = listed(snapshot, wish(*rules), 27)
    topics = [line.item_id.partition("-")[0] for line in lines]
    assert topics == ["space"] * 9 + ["food"] * 10 + ["sea"] * 8
    assert lines[-1].reason.endswith(" Held back by a rule.")


def test_what_is_buried_comes_after_all_others_in_its_own_order(snapshot):
    wanted = wish({"bury": "last", "where": OF_SEA})
    assert ids(listed(snapshot, wanted)) == ["space-0", "space-1", "space-2"]
    lines = listed(snapshot, wanted, 27)
    assert ids(lines)[19:23] == ["sea-3", "sea-5", "sea-2", "sea-6"]
    assert lines[19].reason == "Goes with “Sea number 4”, which you chose. Put last by a rule."


def test_what_is_buried_for_good_is_nowhere_even_where_it_is_pinned(snapshot):
    lines = listed(snapshot, wish({"bury": "never", "where": OF_SEA}, {"pin": "sea-2", "at": 1}), 100)
    assert {line.item_id.partition("-")[0] for line in lines} == {"space", "food"}


def test_a_pin_lifts_what_is_only_put_last(snapshot):
    lines = listed(snapshot, wish({"bury": "last", "where": OF_SEA}, {"pin": "sea-2", "at": 1}), 2)
    assert ids(lines) == ["sea-2", "space-0"]


def test_pins_and_burials_hold_without_a_model(snapshot):
    popular = replace(snapshot, model=None, popular=PopularItems(("sea-1", "sea-2", "food-1")))
    rules = {"bury": "last", "where": OF_SEA}, {"pin": "space-3", "at": 1}
    lines = listed(popular, wish(*rules), 4)
    assert [(line.item_id, line.source) for line in lines] == [
        ("space-3", "pinned"),
        ("food-1", "popular"),
        ("sea-1", "popular"),
        ("sea-2", "popular"),
    ]


def many_items(n_items=6_000):
    """More than are all scored, of which every 60th is on sale."""
    dice = np.random.default_rng(0)
    vectors = dice.normal(size=(n_items, 16)).astype(np.float32)
    near = Neighbours(
        dice.integers(0, n_items, (n_items, 30)).astype(np.int32), dice.random((n_items, 30), dtype=np.float32)
    )
    recommender = LLMRecommender(
        item_ids=[f"i{number}" for number in range(n_items)],
        item_vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        popularity=dice.poisson(5, (n_items, 4)).astype(np.float32),
        item_item=near,
        transitions=near,
        sequence=None,
        weights=np.full((len(REGIMES), len(HEADS)), 0.3, dtype=np.float32),
        recency=Recency(),
    )
    items = {
        item_id: CatalogueItem(item_id, item_id, (), None, is_available=True, tags=("sale",) if not place % 60 else ())
        for place, item_id in enumerate(recommender.item_ids)
    }
    return recommender, Catalogue(items)


def test_what_is_held_back_leaves_its_place_to_items_that_no_head_put_on_the_short_list():
    recommender, catalogue = many_items()
    quick = snapshot_of(recommender, catalogue, QuickScores.of(recommender))
    state = met(*(f"i{step}" for step in range(1, 8)))
    leaders = ids(listed(quick, wish(), 100, state=state))
    held = {
        item_id: replace(item, tags=("held",)) for item_id, item in catalogue.exported.items() if item_id in leaders
    }
    quick = snapshot_of(recommender, Catalogue({**catalogue.exported, **held}), quick.quick)
    wanted = wish({"boost": -10, "where": {"tags": {"any_of": ["held"]}}})
    lines = ids(listed(quick, wanted, 10, state=state))
    assert lines == ids(listed(replace(quick, quick=None), wanted, 10, state=state))
    assert not set(lines) & set(leaders)


@pytest.mark.parametrize("boost", [2, 10])
def test_a_boost_lifts_items_that_no_head_put_on_the_short_list(boost):
    recommender, catalogue = many_items()
    quick = snapshot_of(recommender, catalogue, QuickScores.of(recommender))
    wanted = wish({"boost": boost, "where": {"tags": {"any_of": ["sale"]}}})
    for user in range(5):
        state = met(*(f"i{user * 500 + step}" for step in range(1, 8)))
        lines = listed(quick, wanted, 10, state=state)
        assert ids(lines) == ids(listed(replace(quick, quick=None), wanted, 10, state=state))
        assert any("Moved up" in line.reason for line in lines)


def file(tmp_path, text):
    path = tmp_path / "scenarios.yaml"
    path.write_text(text)
    return path


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path):
    path = file(tmp_path, "home: {personal_weight: 0.7, rules: [{pin: 318, at: 1}]}\nbasket: {hides_seen: true}")
    scenarios = read_scenarios(path)
    assert (scenarios["home"].personal_weight, scenarios["home"].hides_seen) == (0.7, True)
    assert scenarios["home"].rules.pins[0].pin == "318"
    assert (scenarios["basket"].hides_seen, scenarios["basket"].needs_items) == (True, True)
    assert scenarios["search"] is SCENARIOS["search"]
    assert read_scenarios(file(tmp_path, "")) == SCENARIOS
    assert read_scenarios(None) is SCENARIOS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hom: {}", "hom: there is no such scenario: choose from home, similar, basket, search"),
        ("home: {rule: []}", "home.rule: unknown key: leave it out, or check its spelling"),
        ("home: {rules: [{}]}", "home.rules.0: a rule is one of pin, boost and bury, and this has none of them"),
        (
            "home: {rules: [{pin: a, bury: last}]}",
            "home.rules.0: a rule is one of pin, boost and bury, and this has pin",
        ),
        ("home: {rules: [{pin: a}]}", "home.rules.0: the pin of 'a' has no place: add `at: 1`, or another one"),
        ("home: {rules: [{pin: a, at: 0}]}", "home.rules.0.at: Input should be greater than or equal to 1 (got 0)"),
        ("home: {rules: [{bury: last, where: {}}]}", "home.rules.0: the bury matches every item: name categories"),
        ("home: {rules: [{boost: 0, where: {price: {max: 1}}}]}", "home.rules.0: a boost of 0 changes nothing"),
        ("home: {rules: [{boost: 1, where: {colour: red}}]}", "home.rules.0.where.colour: unknown key"),
        ("home: {rules: [{bury: never, where: {price: {min: 2, max: 1}}}]}", "min 2 is larger than max 1: exchange"),
        ("home: {rules: [{bury: never, where: {availability: any}}]}", "no rule shows what cannot be had"),
        (
            "home: {rules: [{pin: a, at: 1}, {pin: b, at: 1}]}",
            "home: two pins are about place 1: leave one of them out",
        ),
        ("home: {rules: [{pin: a, at: 1}, {pin: a, at: 2}]}", "home: two pins are about item a: leave one of them out"),
        ("home: [", "cannot be read: while parsing"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_starts(tmp_path, text, sentence):
    settings = Settings(home=tmp_path, scenarios=file(tmp_path, text))
    with pytest.raises(SettingsError) as refused:
        create_app(settings)
    assert str(refused.value).startswith(f"FRESHET_SCENARIOS: {settings.scenarios}")
    assert sentence in str(refused.value)
    assert list(tmp_path.iterdir()) == [settings.scenarios]  # nothing was opened


def test_both_forms_of_a_request_follow_the_rules_and_remember_them(home_with_registry, open_api, tmp_path):
    settings, _ = home_with_registry
    path = file(
        tmp_path, "home: {rules: [{pin: food-7, at: 1}, {bury: never, where: {categories: {any_of: [space]}}}]}"
    )
    api = open_api(settings.model_copy(update={"scenarios": path}))
    long = api.post("/v1/recommendations", json={"user_id": "u1", "n": 100}).json()
    short = api.get("/v1/users/u1/recommendations", params={"n": 100}).json()
    for answer in (long, short):
        assert [item["item_id"] for item in answer["items"][:2]] == ["food-7", "sea-0"]
        assert not any(item["item_id"].startswith("space") for item in answer["items"])
    shown = api.get(f"/v1/recommendations/{long['recommendation_id']}").json()["items"][0]
    assert (shown["source"], shown["score"], shown["reason"]) == ("pinned", None, "Stands at place 1 by a rule.")
