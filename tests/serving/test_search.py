"""Plain words find items by meaning and by name, with conditions; scenarios, filters and variety change lists."""

import pytest


def search(api, query, **options):
    answer = api.post("/v1/search", json={"query": query, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(api, user="stranger", **options):
    answer = api.post("/v1/recommendations", json={"user_id": user, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer):
    return [item["item_id"] for item in answer["items"]]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("thieves with a ship and a treasure map", "sea-0"),
        ("extraterrestrials", "space-2"),
        ("bread and cakes in France", "food-0"),
        ("aliens", "space-2"),
        ("VOYAGE TO MARS", "space-0"),
    ],
)
def test_what_is_meant_or_named_comes_first(reading_api, query, first):
    answer = search(reading_api, query, n=3)
    assert ids(answer)[0] == first
    assert "query" not in answer["degraded"]
    assert (answer["recommendation_id"], answer["user_id"]) == (None, None)


def test_an_exact_name_wins_and_says_so(reading_api):
    first = search(reading_api, "the last starship")["items"][0]
    assert (first["item_id"], first["reason"]) == ("space-1", "Its name has “the last starship”.")


def test_conditions_hold_for_every_line(reading_api):
    answer = search(reading_api, "the sea under 35, not horror", n=100)
    assert answer["understood"] == {
        "text": "the sea",
        "min_price": None,
        "max_price": 35.0,
        "without": ["horror"],
        "only": [],
    }
    assert ids(answer)[0].startswith("sea")
    assert not {"sea-3", "space-3", "food-3"} & set(ids(answer))  # these are horror, and cost 40


def test_a_condition_alone_is_a_list_too(reading_api):
    assert set(ids(search(reading_api, "only horror", n=100))) == {"sea-3", "space-3", "food-3"}


def test_words_move_a_users_list(reading_api):
    plain, moved = ask(reading_api, n=3), ask(reading_api, n=3, query="rockets and planets")
    assert plain["understood"] is None
    assert moved["understood"]["text"] == "rockets and planets"
    assert {item_id.partition("-")[0] for item_id in ids(moved)[:2]} == {"space"}


def test_a_search_for_a_user_is_a_list_of_theirs(api):
    answer = search(api, "sea number 4", user_id="reader", n=2)
    assert answer["recommendation_id"]
    assert ids(answer)[0] == "sea-4"  # seen long ago, and asked for by name
    assert answer["degraded"] == ["query"]  # this model cannot read, so names alone decide


def test_without_a_model_names_are_searched(cold_api):
    for item_id, title in (("kettle", "A copper kettle"), ("pan", "An iron pan")):
        cold_api.put(f"/v1/items/{item_id}", json={"title": title})
    assert ids(search(cold_api, "copper kettle")) == ["kettle"]


def test_home_hides_what_was_seen_and_a_basket_does_not(api):
    with_home = ask(api, "reader", n=100, diversity=0.1)
    with_basket = ask(api, "reader", n=100, scenario="basket", context={"item_ids": ["sea-7"]})
    assert not {"sea-3", "sea-4"} & set(ids(with_home))
    assert {"sea-3", "sea-4"} <= set(ids(with_basket))
    assert not {"sea-7", "food-0"} & set(ids(with_basket))  # in the basket, and turned down


def test_a_list_beside_an_item_goes_with_it(api):
    answer = ask(api, "nobody-yet", n=2, scenario="similar", context={"item_ids": ["food-5"]})
    assert set(ids(answer)) == {"food-4", "food-6"}


def test_a_filter_holds_also_for_popular_items(api):
    assert {
        item["categories"][0] for item in ask(api, n=100, filter={"categories": {"any_of": ["food"]}})["items"]
    } == {"food"}
    assert ids(ask(api, filter={"price": {"min": 1}})) == []  # nothing here has a price


def test_what_cannot_be_had_is_shown_only_when_asked_for(api):
    assert {"sea-9", "space-9"} <= set(ids(ask(api, n=100, filter={"availability": "any"})))


def test_variety_brings_other_topics_up(api):
    plain = ask(api, "reader", n=3)
    varied = ask(api, "reader", n=3, diversity=0.9)
    assert ids(varied)[0] == ids(plain)[0]
    assert len({item["categories"][0] for item in varied["items"]}) > 1
