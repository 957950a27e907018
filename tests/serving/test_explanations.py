"""What scores are made of, by hand: on its line, sea-3 is two places from sea-1 and one from sea-4."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from nearline.session_features import RecentEvent, UserState, to_us
from serving.catalogue import from_table
from serving.current_snapshot import CurrentSnapshot
from serving.explanations import terms_of
from serving.ranking import history_of, rank
from serving.rules import Rule, Rules
from serving.scenarios import SCENARIOS
from serving.schemas import ModelRef
from serving.snapshot import ServedModel
from serving.wishes import Wish
from tests.serving.worlds import ITEM_IDS, catalogue_table, recommender_for
from training.history import HistoryBatch
from training.new_items import extended

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
WEIGHTS = {"item_item": 1.0, "text": 0.2, "trend_all": 0.01}
EXPLAINED = Wish(explain=True)


def served(recommender):
    index = {item_id: place for place, item_id in enumerate(recommender.item_ids)}
    ref = ModelRef(name="freshet-recommender", version="1", alias="champion")
    return ServedModel(ref, recommender, index, catalogue_table(ITEM_IDS), knows_strangers=True)


@pytest.fixture(scope="module")
def snapshot():
    current = CurrentSnapshot()
    current.set_model(served(recommender_for("sea")))
    return current.snapshot


def met(*item_ids):
    times = [to_us(NOW - timedelta(minutes=len(item_ids) - place)) for place in range(len(item_ids))]
    events = zip(item_ids, times, strict=True)
    recent = tuple(RecentEvent(f"e{at}", item_id, "view", None, at) for item_id, at in events)
    return UserState("u1", recent, frozenset(item_ids), NOW)


def listed(snapshot, state, wish=EXPLAINED, n=27):
    return {line.item_id: line for line in rank(snapshot, state, n, frozenset(), NOW, wish.on(snapshot))}


def by_part(line):
    return {each.part: each for each in line.explanation.contributions}


def test_the_history_items_that_speak_are_named_with_what_they_say(snapshot):
    parts = by_part(listed(snapshot, met("sea-1", "sea-4"))["sea-3"])
    # Half of everything counts as now; sea-4 is the newest, sea-1 one item older, which is .8 of it (.7 in words).
    together = parts["item_item"]
    assert [(term.item_id, term.title) for term in together.items] == [
        ("sea-4", "Sea number 4"),
        ("sea-1", "Sea number 1"),
    ]
    assert [term.term for term in together.items] == pytest.approx([0.5 / 2, 0.5 * 0.8 / 3], abs=1e-6)
    assert together.raw_score == pytest.approx(0.25 + 0.4 / 3, abs=1e-6)
    assert [term.term for term in parts["text"].items] == pytest.approx([0.5, 0.5 * 0.7])
    assert (parts["trend_all"].raw_score, parts["trend_all"].items) == (None, [])
    assert set(parts) == set(WEIGHTS)


def test_the_moment_and_its_gate_are_named(snapshot):
    moments = {
        "no_history": UserState("u1"),
        "inside": met("sea-1", "sea-4"),
    }
    for moment, state in moments.items():
        told = next(iter(listed(snapshot, state, n=1).values())).explanation
        assert (told.moment, told.gate) == (moment, 0.5)


def test_an_item_that_was_met_twice_speaks_once(snapshot):
    [term] = by_part(listed(snapshot, met("sea-4", "sea-4"))["sea-3"])["item_item"].items
    assert (term.item_id, term.term) == ("sea-4", pytest.approx((0.5 + 0.4) / 2))


def test_only_the_largest_terms_are_named_and_all_of_them_count(snapshot):
    together = by_part(listed(snapshot, met(*(f"sea-{place}" for place in range(8))))["sea-8"])["item_item"]
    assert len(together.items) == 5
    assert together.raw_score > sum(term.term for term in together.items)
    sizes = [abs(term.term) for term in together.items]
    assert sizes == sorted(sizes, reverse=True)


def test_contributions_add_up_to_the_score_rules_included(snapshot):
    rule = Rule.model_validate({"boost": 0.5, "where": {"categories": {"any_of": ["food"]}}})
    wish = replace(EXPLAINED, scenario=replace(SCENARIOS["home"], rules=Rules.of([rule])))
    lines = listed(snapshot, met("sea-1", "space-4"), wish)
    for item_id, line in lines.items():
        assert sum(each.contribution for each in line.explanation.contributions) == pytest.approx(line.score, abs=1e-5)
        assert by_part(line)["rules"].contribution == (0.5 if item_id.startswith("food") else 0)


def test_a_stranger_has_no_history_to_name(snapshot):
    line = listed(snapshot, UserState("u1"), n=1)["sea-0"]
    assert all(each.raw_score is None and not each.items for each in line.explanation.contributions)
    assert sum(each.contribution for each in line.explanation.contributions) == pytest.approx(line.score, abs=1e-6)


def test_what_an_item_was_met_before_adds_up_to_what_the_own_history_says_of_it(snapshot):
    model = snapshot.model
    batch = HistoryBatch.of([history_of(met("sea-4", "sea-1", "sea-4"), model)], [to_us(NOW)])
    everything = np.arange(model.recommender.n_items)
    terms = terms_of("own_history", model, from_table(model.items), batch, everything)
    assert terms.sum(axis=1) == pytest.approx(model.recommender.behaviour("own_history", batch)[0])
    twice, once = (model.recommender.item_ids.index(item_id) for item_id in ("sea-4", "sea-1"))
    assert terms[twice].sum() == pytest.approx(2**0.5 * terms[once].sum())


def test_nobody_who_did_not_ask_is_told(snapshot):
    assert listed(snapshot, met("sea-4"), Wish(), n=1)["sea-3"].explanation is None


@pytest.mark.parametrize("head", ["item_item", "transitions"])
def test_an_item_younger_than_the_model_speaks_through_those_it_reads_like(head):
    vectors = np.array([[1, 0, 0], [0.6, 0.8, 0]], dtype=np.float32)
    model = served(extended(recommender_for("sea"), ["young-1", "young-2"], vectors))
    batch = HistoryBatch.of([history_of(met("sea-1", "space-4", "young-1"), model)], [to_us(NOW)])
    everything = np.arange(model.recommender.n_items)
    raw = getattr(model.recommender, head).score(batch, model.recommender.reading(head, batch))[0]
    assert raw[-2:].all()
    assert terms_of(head, model, from_table(model.items), batch, everything).sum(axis=1) == pytest.approx(raw, abs=1e-6)


def test_a_request_that_asks_is_told_and_a_query_has_its_part(reading_api):
    wanted = {"user_id": "u1", "query": "the whale hunters", "explain": True, "n": 2}
    first = reading_api.post("/v1/recommendations", json=wanted).json()["items"][0]
    told = {each["part"]: each["contribution"] for each in first["explanation"]["contributions"]}
    assert first["item_id"] == "sea-1"
    assert told["query_name"] == 10  # its whole name
    assert sum(told.values()) == pytest.approx(first["score"], abs=1e-5)
    plain = reading_api.post("/v1/recommendations", json={**wanted, "explain": False}).json()
    assert [item["explanation"] for item in plain["items"]] == [None, None]
