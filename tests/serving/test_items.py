"""Single items over HTTP: durable before the answer, ranked by their text at once, gone everywhere when deleted."""

from urllib.parse import quote

import pytest

SPACE_STATION = {"title": "A space station beyond Mars", "categories": ["Space"], "tags": ["family"], "price": 12.5}


def put(api, item_id, **item):
    answer = api.put(f"/v1/items/{item_id}", json=item)
    assert answer.status_code == 200, answer.text
    return answer.json()


def similar(api, item_id, n=3):
    return [item["item_id"] for item in api.get(f"/v1/items/{item_id}/similar", params={"n": n}).json()["items"]]


def listed(api, n=100):
    items = api.get("/v1/users/stranger/recommendations", params={"n": n}).json()["items"]
    return [item["item_id"] for item in items]


def test_an_item_is_recommended_by_its_text_as_soon_as_it_is_put(reading_home, open_api, eventually):
    api = open_api(reading_home)
    put(api, "station", **SPACE_STATION)
    assert eventually(lambda: api.get("/v1/items/station/similar").status_code == 200)
    assert "space-0" in similar(api, "station", 2)  # Voyage to Mars
    assert "station" in similar(api, "space-0", 2)
    assert "station" in listed(api)


@pytest.mark.parametrize("item_id", ["kits/red&blue", "100%", "a/similar/b", "東京?#"])
def test_an_id_is_any_id_in_an_address_too(reading_home, open_api, eventually, item_id):
    api, path = open_api(reading_home), f"/v1/items/{quote(item_id, safe='')}"
    assert api.put(path, json=SPACE_STATION).status_code == 200
    assert api.get(path).json()["item_id"] == item_id
    assert eventually(lambda: api.get(f"{path}/similar").status_code == 200)
    assert api.delete(path).status_code == 200
    assert api.get(path).status_code == 410


def test_an_item_outlives_a_restart(reading_home, open_api, eventually):
    put(open_api(reading_home), "station", **SPACE_STATION)
    again = open_api(reading_home)
    assert again.get("/v1/items/station").json()["title"] == SPACE_STATION["title"]
    assert eventually(lambda: again.get("/v1/items/station/similar").status_code == 200)


def test_an_item_is_read_anew_for_another_champion(home_with_registry, reading_world, open_api, eventually, tmp_path):
    from training import registry
    from training.registry import make_champion, register_run
    from training.tracking import log_bundle, training_run

    settings, _ = home_with_registry  # a model that cannot read, then one that can
    api = open_api(settings)
    assert put(api, "station", **SPACE_STATION)["is_recommendable"] is False
    bundle = registry.download(registry.champion(reading_world.tracking_uri), tmp_path / "bundles")
    with training_run(settings.tracking_uri, "reading") as run:
        log_bundle(settings.tracking_uri, run.info.run_id, bundle)
    make_champion(settings.tracking_uri, register_run(settings.tracking_uri, run.info.run_id), "it reads")
    assert eventually(lambda: api.get("/v1/items/station/similar").status_code == 200)
    assert "space-0" in similar(api, "station", 2)


def test_another_wording_is_read_anew(reading_home, open_api, eventually):
    api = open_api(reading_home)
    put(api, "x", **SPACE_STATION)
    put(api, "y", title="Boats and waves")
    put(api, "x", title="Cakes and bread from a French baker", categories=["Food"])
    assert eventually(lambda: similar(api, "x", 1) == ["food-0"])
    assert api.get("/v1/items/y/similar").status_code == 200


def test_a_deleted_item_is_gone_everywhere_at_once(reading_api):
    put(reading_api, "gone", **SPACE_STATION)
    assert reading_api.delete("/v1/items/gone").status_code == 200
    assert "gone" not in listed(reading_api)
    assert "gone" not in similar(reading_api, "space-0", 12)
    for path in ("/v1/items/gone", "/v1/items/gone/similar"):
        assert reading_api.get(path).status_code == 410
    assert reading_api.delete("/v1/items/gone").status_code == 410


def test_a_trained_item_can_be_deleted_and_come_back(reading_api):
    reading_api.delete("/v1/items/food-2")
    assert reading_api.get("/v1/items/food-2").status_code == 410
    assert "food-2" not in listed(reading_api)
    put(reading_api, "food-2", title="A feast of noodles, again")
    assert "food-2" in listed(reading_api)
    assert reading_api.get("/v1/items/food-2").json()["title"] == "A feast of noodles, again"


def test_what_is_put_replaces_all_that_was_known(reading_api):
    put(reading_api, "lamp", title="A lamp", price=5, attributes={"colour": "red", "sizes": [1, 2]})
    stored = put(reading_api, "lamp", title="A lamp", is_available=False)
    assert (stored["price"], stored["attributes"], stored["is_available"]) == (None, {}, False)
    assert reading_api.get("/v1/items/lamp").json() == {
        key: value for key, value in stored.items() if key != "is_recommendable"
    }
    assert "lamp" not in listed(reading_api)


def test_an_item_of_the_batch_is_told_in_full(api):
    answer = api.get("/v1/items/sea-1").json()
    assert (answer["title"], answer["categories"], answer["tags"]) == ("Sea number 1", ["sea"], [])
    assert api.get("/v1/items/nothing").status_code == 404
    assert api.delete("/v1/items/nothing").status_code == 404


def test_without_a_model_an_item_is_shown_as_new(cold_api):
    assert put(cold_api, "first", title="The first of all")["is_recommendable"] is False
    lines = {line["item_id"]: line for line in cold_api.get("/v1/users/u1/recommendations").json()["items"]}
    assert (lines["first"]["title"], lines["first"]["source"]) == ("The first of all", "popular")


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"{", 400, "malformed JSON"),
        (b"[]", 422, "an item is a JSON object"),
        (b"{}", 422, "body.title"),
        (b'{"title": ""}', 422, "body.title"),
        (b'{"title": "a", "colour": "red"}', 422, "body.colour: unknown field"),
        (b'{"title": "a", "price": -1}', 422, "body.price"),
        (b'{"title": "a", "item_id": "b"}', 422, "the path names the item"),
        (b'{"title": "a", "attributes": {"x": 99999999999999999999}}', 422, "beyond 64 bits"),
        (b'{"title": "a", "description": "' + b"x" * 140_000 + b'"}', 413, "the limit is 131,072"),
    ],
)
def test_a_wrong_item_is_refused_with_a_reason(cold_api, body, status, sentence):
    answer = cold_api.put("/v1/items/i1", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]
