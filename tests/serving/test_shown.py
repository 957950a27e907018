"""An answer can be looked up by its id, for ever."""

from uuid import uuid4

from uuid6 import uuid7


def test_what_was_shown_can_be_asked_for_the_next_moment(api):
    answer = api.post("/v1/recommendations", json={"user_id": "reader", "n": 4}).json()
    shown = api.get(f"/v1/recommendations/{answer['recommendation_id']}").json()
    assert shown["user_id"] == "reader"
    assert shown["model_version"] == answer["model"]["version"]
    kept = ("item_id", "rank", "score", "source", "reason", "propensity", "title")
    assert shown["items"] == [{name: item[name] for name in kept} for item in answer["items"]]


def test_the_longest_list_is_found_whole(api):
    answer = api.post("/v1/recommendations", json={"user_id": "somebody", "n": 100}).json()
    shown = api.get(f"/v1/recommendations/{answer['recommendation_id']}").json()
    assert [item["rank"] for item in shown["items"]] == list(range(1, len(answer["items"]) + 1))


def test_what_was_never_shown_is_not_found(api):
    for recommendation_id in (uuid4(), uuid7()):  # one of them as if it had been given out just now
        answer = api.get(f"/v1/recommendations/{recommendation_id}")
        assert answer.status_code == 404
        assert "was shown" in answer.json()["detail"]
    assert api.get("/v1/recommendations/not-an-id").status_code == 422


def test_a_clients_impressions_are_no_answer_of_ours(api):
    event = {"event_type": "impression", "user_id": "u1", "item_id": "sea-1", "recommendation_id": str(uuid4())}
    assert api.post("/v1/events", json=event).status_code == 202
    assert api.get(f"/v1/recommendations/{event['recommendation_id']}").status_code == 404
