"""An empty home: events are taken, answers are given, and both say what is missing."""

import re

import pytest
from starlette.testclient import TestClient

from freshet.settings import Settings
from serving.app import create_app


@pytest.fixture
def api(tmp_path):
    with TestClient(create_app(Settings(home=tmp_path))) as api:
        yield api


def view(item, user="u1"):
    return {"event_type": "view", "user_id": user, "item_id": item}


def test_an_empty_home_is_alive_and_not_ready(cold_api):
    assert cold_api.get("/healthz").text == "ok\n"
    answer = cold_api.get("/readyz")
    assert answer.status_code == 503
    reasons = " ".join(answer.json()["reasons"])
    assert "Feast has no registry" in reasons
    assert "no champion is registered: run `make run`" in reasons


def test_an_unknown_world_is_an_empty_list_that_says_so(api):
    answer = api.get("/v1/users/nobody/recommendations").json()
    assert (answer["items"], answer["model"], answer["features_as_of"]) == ([], None, None)
    assert {"model", "online_store"} <= set(answer["degraded"])


def test_without_a_batch_the_live_log_says_what_is_popular(api, eventually):
    api.post("/v1/events", json=[view("a"), view("b"), view("b", "u2"), {**view("c"), "event_type": "hide"}])
    assert eventually(lambda: api.get("/v1/users/u3/recommendations").json()["items"])
    items = api.get("/v1/users/u3/recommendations").json()["items"]
    assert [(item["item_id"], item["source"]) for item in items] == [("b", "popular"), ("a", "popular")]
    assert items[0]["reason"] == "Popular: people chose it 2 times so far."


def test_a_token_that_cannot_be_waited_for_is_named_as_missing(api):
    token = api.post("/v1/events", json=view("a")).json()["freshness_token"]
    answer = api.post("/v1/recommendations", json={"user_id": "u1", "min_freshness_token": token})
    assert answer.status_code == 200
    assert "freshness" in answer.json()["degraded"]


def test_events_survive_a_restart_without_any_store(tmp_path):
    settings = Settings(home=tmp_path)
    with TestClient(create_app(settings)) as api:
        first = api.post("/v1/events", json={**view("a"), "event_id": "e1"}).json()
    with TestClient(create_app(settings)) as api:
        again = api.post("/v1/events", json={**view("a"), "event_id": "e1"}).json()
    assert (first["accepted"], again["duplicate"]) == (1, 1)
    assert again["freshness_token"] == first["freshness_token"]


def test_similar_items_need_a_model(cold_api):
    answer = cold_api.get("/v1/items/a/similar")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


def test_metrics_count_by_route_and_outcome(api):
    api.post("/v1/events", json=[view("a"), 7])
    api.get("/v1/users/u1/recommendations")
    api.get("/v1/users/u2/recommendations")
    api.get("/nothing/here")
    figures = api.get("/metrics").text
    assert 'freshet_events_total{status="accepted"} 1.0' in figures
    assert 'freshet_events_total{status="rejected"} 1.0' in figures
    route = 'method="GET",route="/v1/users/{user_id}/recommendations",status="200"'
    assert f"freshet_http_requests_total{{{route}}} 2.0" in figures
    assert 'route="(none)",status="404"' in figures
    assert 'freshet_degraded_answers_total{missing="model"} 2.0' in figures
    assert "freshet_nearline_running 1.0" in figures


def test_every_route_has_words_and_an_example(cold_api):
    schema = cold_api.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            assert route.get("description"), (method, path)
            if path.startswith("/v1/"):
                answer = next(said for status, said in route["responses"].items() if status.startswith("2"))
                assert answer["content"]["application/json"]["example"], (method, path)
                assert "application/problem+json" in route["responses"]["4XX"]["content"], (method, path)


def test_the_front_door_leads_to_pages_that_exist(cold_api):
    links = set(re.findall(r'href="([^"]+)"', cold_api.get("/").text))
    statuses = {link: cold_api.get(link).status_code for link in links}
    assert statuses.pop("/readyz") == 503  # nothing is there yet
    assert statuses.pop("/lineage/") == 404
    assert set(statuses.values()) == {200}


def test_lineage_appears_when_dbt_has_written_it(tmp_path):
    target = tmp_path / "dbt" / "target"
    with TestClient(create_app(Settings(home=tmp_path))) as api:
        assert api.get("/lineage/").status_code == 404
        target.mkdir(parents=True)
        (target / "index.html").write_text("<title>dbt Docs</title>")
        (target / "manifest.json").write_text("{}")
        assert "dbt Docs" in api.get("/lineage/").text
        assert api.get("/lineage/manifest.json").json() == {}
        (target / "static_index.html").write_text("all in one")
        assert api.get("/lineage/").text == "all in one"
