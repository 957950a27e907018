"""A list that is asked for again is the one that was made, until anything has changed that it was made from."""

import gc
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

from nearline.session_features import RecentEvent, UserState, to_us
from serving import kept_lists
from serving.champion import load_model
from serving.current_snapshot import CurrentSnapshot
from serving.filters import ItemFilter
from serving.kept_lists import KEPT_FOR, KeptLists
from serving.online_features import Popularity
from serving.popular_items import PopularItems
from serving.scenarios import SCENARIOS
from serving.snapshot import Snapshot
from serving.wishes import PLAIN, Wish
from training.bundle import write_bundle

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
ANN = UserState("ann", (RecentEvent("e1", "i1", "view", None, to_us(NOW)),), frozenset({"i1"}), NOW)


def a_snapshot():
    """Nothing but three popular items, of which one takes the place of the other."""
    return Snapshot(popular=PopularItems(("i1", "i2", "i3"), Popularity({}, NOW)))


def ask(kept, snapshot, state=ANN, n=2, excluded=frozenset(), now=NOW, wish=PLAIN):
    return kept.rank(snapshot, state, n, excluded, now, wish.on(snapshot))


def test_the_same_question_gets_the_same_list():
    kept, snapshot = KeptLists(), a_snapshot()
    made, was_kept = ask(kept, snapshot)
    assert ([line.item_id for line in made], was_kept) == (["i2", "i3"], False)
    assert ask(kept, snapshot) == (made, True)


@pytest.mark.parametrize(
    "other",
    [
        {"state": replace(ANN, user_id="bob")},
        {"state": replace(ANN, seen=frozenset({"i1", "i2"}))},
        {"state": replace(ANN, recent=(*ANN.recent, RecentEvent("e2", "i1", "hide", None, to_us(NOW))))},
        {"n": 1},
        {"excluded": frozenset({"i2"})},
        {"wish": Wish(diversity=0.5)},
        {"wish": Wish(SCENARIOS["basket"], with_item_ids=("i3",))},
        {"now": NOW + KEPT_FOR},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_question_gets_another_list(other):
    kept, snapshot = KeptLists(), a_snapshot()
    ask(kept, snapshot)
    made, was_kept = ask(kept, snapshot, **other)
    assert not was_kept
    assert ask(kept, snapshot, **other) == (made, True)


@pytest.mark.parametrize("wish", [Wish(item_filter=ItemFilter()), Wish(explain=True)])
def test_what_hardly_anybody_asks_for_twice_is_not_kept(wish):
    kept, snapshot = KeptLists(), a_snapshot()
    ask(kept, snapshot, wish=wish)
    assert not ask(kept, snapshot, wish=wish)[1]


def test_a_search_that_could_not_be_read_is_made_anew():
    kept, snapshot = KeptLists(), a_snapshot()  # without a model nobody reads the words
    ask(kept, snapshot, wish=Wish(query="tea"))
    assert not ask(kept, snapshot, wish=Wish(query="tea"))[1]


def test_a_search_that_was_read_is_made_once(make_recommender, make_catalogue, tmp_path):
    recommender = make_recommender("sea")
    items = make_catalogue(recommender.item_ids)
    write_bundle(tmp_path / "b", recommender, items, text_encoder={}, data={}, config={}, created_from={})
    current = CurrentSnapshot()
    current.set_model(replace(load_model(1, tmp_path / "b"), tower=OnlySpace()))
    kept, nobody = KeptLists(), UserState("")
    made, was_kept = ask(kept, current.snapshot, nobody, wish=Wish(query="voyage"))
    assert ([line.item_id.split("-")[0] for line in made], was_kept) == (["space", "space"], False)
    assert ask(kept, current.snapshot, nobody, wish=Wish(query="voyage")) == (made, True)
    assert not ask(kept, current.snapshot, nobody, wish=Wish(query="a voyage"))[1]
    assert not ask(kept, current.snapshot, wish=Wish(query="voyage"))[1]


class OnlySpace:
    """Reads every text as one about space."""

    def query(self, text):
        return np.array([0, 1, 0], dtype=np.float32)


def test_another_model_or_catalogue_ends_all_lists_and_nothing_holds_the_old_one():
    kept, old = KeptLists(), a_snapshot()
    ask(kept, old)
    new, gone = a_snapshot(), weakref.ref(old)
    assert not ask(kept, new)[1]
    assert not ask(kept, old)[1]  # somebody who began before the change
    del old
    gc.collect()
    assert gone() is None


def test_the_oldest_lists_make_room(monkeypatch):
    monkeypatch.setattr(kept_lists, "MAX_LINES", 4)
    kept, snapshot = KeptLists(), a_snapshot()
    users = [replace(ANN, user_id=name) for name in ("ann", "bob", "max")]
    for user in users:
        ask(kept, snapshot, user)
    assert [ask(kept, snapshot, user)[1] for user in reversed(users)] == [True, True, False]


def test_lists_that_are_too_old_go_when_another_one_comes():
    kept, snapshot = KeptLists(), a_snapshot()
    ask(kept, snapshot)
    ask(kept, snapshot, replace(ANN, user_id="bob"), now=NOW + KEPT_FOR)
    assert not ask(kept, snapshot, now=NOW + timedelta(seconds=1))[1]


def test_a_list_that_was_kept_is_an_answer_of_its_own_and_an_event_ends_it(api):
    user = f"user-{uuid4()}"

    def answer(**more):
        before = lists_by_origin(api)
        found = api.post("/v1/recommendations", json={"user_id": user, "n": 3, **more}).json()
        return found, {origin for origin, count in lists_by_origin(api).items() if count > before.get(origin, 0)}

    first, origin = answer()
    assert origin == {"made"}
    second, origin = answer()
    assert origin == {"kept"}
    assert second["items"] == first["items"]
    assert second["recommendation_id"] != first["recommendation_id"]
    click = {"event_type": "click", "user_id": user, "item_id": first["items"][0]["item_id"]}
    token = api.post("/v1/events", json=click).json()["freshness_token"]
    third, origin = answer(min_freshness_token=token)
    assert origin == {"made"}
    assert first["items"][0]["item_id"] not in [line["item_id"] for line in third["items"]]


def lists_by_origin(api):
    """How many lists were made, and how many were there, since the start."""
    lines = [line for line in api.get("/metrics").text.splitlines() if line.startswith("freshet_lists_total{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}
