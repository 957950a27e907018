"""The Python client, against an API that answers on a port."""

import json
import shutil
import time
from datetime import UTC, datetime
from typing import is_typeddict

import pytest

from freshet import client_types as module
from freshet.client import ApiError, Client
from serving import schemas
from serving.api_keys import SqliteApiKeys
from tests.http_handler import Handler


def copy_of(world, tmp_path, **changed):
    home = tmp_path / "home"
    shutil.copytree(world.settings.home, home, ignore=shutil.ignore_patterns("log"))
    return world.settings.model_copy(update={"home": home, **changed})


@pytest.fixture
def client(world, serve, tmp_path):
    """A client of an API over a copy of the world."""
    with Client(serve(copy_of(world, tmp_path))) as client:
        yield client


def ids(answer):
    return [item["item_id"] for item in answer["items"]]


def test_a_list_reflects_what_was_sent_the_moment_before(client):
    before = client.recommend("visitor", n=5)
    assert (before["user_id"], before["degraded"], client.freshness_token) == ("visitor", [], None)
    clicked = ids(before)[0]
    click = {"event_type": "click", "user_id": "visitor", "item_id": clicked, "occurred_at": datetime.now(UTC)}
    told = client.send({**click, "recommendation_id": before["recommendation_id"]})
    assert (told["accepted"], told["rejected"], told["freshness_token"]) == (1, 0, client.freshness_token)
    after = client.recommend("visitor", n=5)
    assert clicked not in ids(after)
    assert after["degraded"] == []
    assert after["features_as_of"] is not None
    assert client.profile("visitor")["recent_events"][0]["item_id"] == clicked


def test_all_wishes_reach_the_ranking(client):
    answer = client.recommend(
        "visitor",
        n=3,
        scenario="basket",
        beside_item_ids=["food-1"],
        item_filter={"categories": {"none_of": ["sea"]}},
        exclude_item_ids=["food-2"],
        diversity=0.1,
    )
    assert ids(answer)[0] == "food-0"  # beside food-1 on its topic's line, as food-2 is
    assert not {"food-1", "food-2"} & set(ids(answer))
    assert ids(client.recommend("visitor", n=2, query="space number 5"))[0] == "space-5"


def test_a_visitor_is_named_by_their_session_and_a_list_explained(client):
    client.send({"event_type": "click", "session_id": "v1", "item_id": "space-4"})
    first = client.recommend(None, 1, session_id="v1", explain=True)["items"][0]
    assert first["item_id"] in {"space-3", "space-5"}
    assert sum(each["contribution"] for each in first["explanation"]["contributions"]) == pytest.approx(first["score"])


def test_more_events_than_a_request_holds_are_sent_in_several(client):
    events = [{"event_type": "view", "user_id": "visitor", "item_id": f"sea-{n % 9}"} for n in range(1_000)]
    told = client.send(*events, {"event_type": "view", "user_id": "visitor"}, *events[:1])
    assert (told["accepted"], told["rejected"]) == (1_001, 1)
    assert [result["index"] for result in told["results"]] == list(range(1_002))
    assert "item_id is missing" in told["results"][1_000]["reason"]
    assert told["freshness_token"] == client.freshness_token == "1001"


def test_items_are_put_found_and_deleted(client):
    stored = client.put_item("new?one", {"title": "Lantern of brass", "price": 12.5})
    assert (stored["item_id"], stored["price"]) == ("new?one", 12.5)
    assert client.get_item("new?one")["title"] == "Lantern of brass"
    assert ids(client.similar("sea-4", n=2)) == ["sea-3", "sea-5"]
    assert ids(client.search("Sea number 3", n=1)) == ["sea-3"]
    assert client.delete_item("new?one")["item_id"] == "new?one"
    with pytest.raises(ApiError, match="410: ") as refused:
        client.get_item("new?one")
    assert refused.value.status == 410


def test_a_user_who_is_erased_is_nobody_to_the_next_list(client):
    assert client.recommend("reader")["features_as_of"] is not None
    receipt = client.erase_user("reader")
    assert receipt["freshness_token"] == client.freshness_token
    assert client.profile("reader")["is_known"] is False
    assert client.recommend("reader")["features_as_of"] is None


def test_what_is_wrong_is_told_by_field(client):
    with pytest.raises(ApiError, match=r"422: body\.n") as refused:
        client.recommend("visitor", n=1_000)
    assert [error["field"] for error in refused.value.errors] == ["body.n"]


def test_who_asks_too_often_waits_as_long_as_the_api_says(world, serve, tmp_path):
    settings = copy_of(world, tmp_path, api_auth="keys")
    keys = SqliteApiKeys(settings.keys_path)
    _, key = keys.create("shop", ["recommend:read"], requests_per_second=1.0)
    keys.close()
    url, waited = serve(settings), []
    with Client(url, key, tries=1) as impatient:
        impatient.recommend("visitor")
        with pytest.raises(ApiError, match="429: ") as refused:
            for _ in range(5):
                impatient.recommend("visitor")
        assert refused.value.status == 429
        with pytest.raises(ApiError, match="403: "):
            impatient.send({"event_type": "view", "user_id": "visitor", "item_id": "sea-1"})
    with Client(url, key, sleep=lambda seconds: waited.append(seconds) or time.sleep(seconds)) as patient:
        for _ in range(3):
            patient.recommend("visitor")
    assert set(waited) == {1.0}


class Overloaded(Handler):
    """Says twice when to come back, then takes what was sent."""

    def do_POST(self):
        self.server.bodies.append(self.body())
        if len(self.server.bodies) <= 2:
            self.send_response(503)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.answer(202, {"accepted": 1, "duplicate": 0, "rejected": 0, "results": [], "freshness_token": "1"})


def test_a_second_try_sends_the_same_event_with_the_same_id(listen):
    server, waited = listen(Overloaded), []
    server.bodies, url = [], f"http://127.0.0.1:{server.server_port}"
    view = {"event_type": "view", "user_id": "u", "item_id": "i"}
    with Client(url, sleep=waited.append) as client:
        assert client.send(view)["accepted"] == 1
    assert waited == [7.0, 7.0]
    assert len(server.bodies) == 3
    assert len({json.loads(body)[0]["event_id"] for body in server.bodies}) == 1
    server.bodies.clear()
    with Client(url, longest_wait_seconds=5, sleep=waited.append) as client, pytest.raises(ApiError, match="503: "):
        client.send(view)  # seven seconds are longer than this one wants to wait
    assert waited == [7.0, 7.0]


def test_where_nothing_listens_it_tries_again_and_then_says_so(free_ports):
    import httpx

    waited = []
    with (
        Client(f"http://127.0.0.1:{free_ports(1)[0]}", tries=3, sleep=waited.append) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.recommend("visitor")
    assert waited == [1.0, 1.0]


ANSWERS = {name: found for name, found in vars(module).items() if is_typeddict(found) and name != "NewEvent"}


@pytest.mark.parametrize("name", ANSWERS)
def test_its_types_are_those_of_the_api(name):
    assert list(ANSWERS[name].__annotations__) == list(getattr(schemas, name).model_fields)
