"""The lists that people get: personal, fresh, without what must not be shown, and logged."""

from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
import pytest

from ingestion.event_log import SqliteEventLog
from nearline.session_features import to_us
from training.bundle import load_bundle
from training.history import History


@pytest.fixture
def user():
    return f"user-{uuid4()}"


def post(api, *events):
    answer = api.post("/v1/events", json=list(events))
    assert answer.status_code == 202, answer.text
    return answer.json()["freshness_token"]


def event(user, item, event_type="click", **more):
    return {"event_type": event_type, "user_id": user, "item_id": item, **more}


def ask(api, user, **options):
    answer = api.post("/v1/recommendations", json={"user_id": user, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def item_ids(answer):
    return [item["item_id"] for item in answer["items"]]


def test_an_answer_says_all_that_is_promised(api, world):
    answer = ask(api, "reader", n=3)
    version = str(world.versions[0])
    assert answer["model"] == {"name": "freshet-recommender", "version": version, "alias": "champion"}
    assert answer["features_as_of"] == "2025-06-01T02:00:00Z"
    assert answer["degraded"] == []
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]
    first = answer["items"][0]
    assert (first["title"], first["categories"], first["source"]) == ("Sea number 5", ["sea"], "model")
    assert first["propensity"] == 1.0
    assert first["reason"] == "Goes with “Sea number 4”, which you chose."


def test_what_was_seen_is_never_shown(api):
    shown = item_ids(ask(api, "reader", n=100))
    assert not {"sea-4", "sea-3", "food-0", "gone-1"} & set(shown)  # met, met longer ago, turned down, unknown


def test_what_is_not_available_is_never_shown(api, user):
    shown = item_ids(ask(api, user, n=100))
    assert not {"sea-9", "space-9"} & set(shown)


def test_what_is_excluded_is_not_shown(api, user):
    first = item_ids(ask(api, user, n=2))
    assert not set(first) & set(item_ids(ask(api, user, n=100, exclude_item_ids=[*first, "unheard-of"])))


def test_the_whole_catalogue_is_the_longest_list(api, user):
    shown = item_ids(ask(api, user, n=100))
    assert len(shown) == len(set(shown)) == 29  # thirty of the model, two not available, one new
    assert shown[-1] == "new-0"


def test_an_unknown_user_is_a_cold_start(api, user):
    answer = ask(api, user, n=3)
    assert item_ids(answer) == ["sea-0", "sea-1", "sea-2"]
    assert {item["source"] for item in answer["items"]} == {"cold_start"}
    assert answer["items"][0]["reason"] == "A favourite of many."
    assert (answer["features_as_of"], answer["degraded"]) == (None, [])


def test_the_list_is_the_models_own_for_the_same_state(api, world, user):
    post(api, event(user, "space-2"), event(user, "food-7"))
    answer = ask(api, user, n=100, min_freshness_token=post(api, event(user, "sea-1")))
    profile = api.get(f"/v1/users/{user}/profile").json()
    [folder] = (world.settings.models_dir / "bundles").glob(f"*-{world.versions[0]}-*")
    recommender = load_bundle(folder).recommender
    met = [(known["item_id"], datetime.fromisoformat(known["occurred_at"])) for known in profile["recent_events"]][::-1]
    history = History(
        np.array([recommender.item_ids.index(item) for item, _ in met], dtype=np.int32),
        np.array([to_us(at) for _, at in met], dtype=np.int64),
    )
    popularity = np.zeros((30, 4), dtype=np.float32)
    popularity[:10] = np.arange(10, 0, -1)[:, None]
    scores = recommender.score(history, to_us(datetime.now(UTC)), popularity)
    hidden = {"space-2", "food-7", "sea-1", "sea-9", "space-9"}
    expected = [recommender.item_ids[index] for index in np.argsort(-scores, kind="stable")]
    assert item_ids(answer)[:-1] == [item for item in expected if item not in hidden]
    by_id = dict(zip(recommender.item_ids, scores.tolist(), strict=True))
    assert [item["score"] for item in answer["items"][:-1]] == pytest.approx(
        [by_id[item] for item in item_ids(answer)[:-1]], abs=1e-5
    )


def test_the_request_after_a_click_reflects_it_every_time(api, user):
    post(api, event(user, "food-0"))
    for number in range(1, 10):
        token = post(api, event(user, f"food-{number}"))
        answer = ask(api, user, n=100, min_freshness_token=token)
        assert answer["degraded"] == []
        assert f"food-{number}" not in item_ids(answer)


def test_a_clicked_item_goes_and_its_neighbours_rise(api, user):
    before = item_ids(ask(api, user, n=100))
    answer = ask(api, user, n=100, min_freshness_token=post(api, event(user, "space-4")))
    after = item_ids(answer)
    assert "space-4" not in after
    assert {"space-3", "space-5"} == set(after[:2])
    assert all(after.index(item) < before.index(item) for item in ("space-3", "space-5"))
    assert answer["items"][0]["reason"] == "Goes with “Space number 4”, which you chose."


def test_what_was_turned_down_goes_and_pulls_nothing_up(api, user):
    before = item_ids(ask(api, user, n=100))
    answer = ask(api, user, n=100, min_freshness_token=post(api, event(user, "space-4", "hide")))
    assert item_ids(answer) == [item for item in before if item != "space-4"]


def test_a_visitor_without_a_user_id_is_known_by_their_session(api, user):
    click = {"event_type": "click", "session_id": user, "item_id": "space-4"}
    token = post(api, click, event(f"other-{user}", "food-2", session_id=user))
    asked = api.post("/v1/recommendations", json={"session_id": user, "n": 100, "min_freshness_token": token}).json()
    assert set(item_ids(asked)[:2]) == {"space-3", "space-5"}
    assert "food-2" in item_ids(asked)  # somebody's event with a user_id is theirs, whatever its session
    assert asked["user_id"] == f"session:{user}"
    profile = api.get(f"/v1/users/session:{user}/profile").json()
    assert [each["item_id"] for each in profile["recent_events"]] == ["space-4"]
    assert ask(api, user)["features_as_of"] is None  # a user of the same name is another


def test_an_event_sent_twice_counts_once(api, user):
    click = event(user, "sea-5", event_id=f"twice-{user}")
    first, again = post(api, click), post(api, click)
    assert first == again
    ask(api, user, min_freshness_token=again)
    profile = api.get(f"/v1/users/{user}/profile").json()
    assert len(profile["recent_events"]) == profile["n_seen_items"] == 1


def test_both_forms_give_the_same_list(api, user):
    token = post(api, event(user, "sea-5"))
    long = ask(api, user, n=4, exclude_item_ids=["sea-6", "sea-7"], min_freshness_token=token)
    query = {"n": 4, "exclude_item_ids": ["sea-6", "sea-7"], "min_freshness_token": token}
    short = api.get(f"/v1/users/{user}/recommendations", params=query).json()
    assert item_ids(long) == item_ids(short)
    assert long["recommendation_id"] != short["recommendation_id"]


def test_shown_items_are_logged_and_joined_by_id(api, world, user, eventually):
    answer = ask(api, user, n=3)
    clicked = answer["items"][1]["item_id"]
    post(api, event(user, clicked, recommendation_id=answer["recommendation_id"]))
    log = SqliteEventLog(world.settings.log_path)

    def answering():
        events = [each for _, each in log.read(0, 100_000)]
        return [each for each in events if each.recommendation_id == answer["recommendation_id"]]

    assert eventually(lambda: len(answering()) == 4)
    found = answering()
    log.close()
    shown = [each for each in found if each.event_type == "impression"]
    assert [each.item_id for each in shown] == item_ids(answer)
    noted = ("rank", "propensity", "source", "score", "reason")
    version = answer["model"]["version"]
    assert [each.properties for each in shown] == [
        {name: item[name] for name in noted} | {"model_version": version} for item in answer["items"]
    ]
    assert [each.item_id for each in found if each.event_type == "click"] == [clicked]


def test_a_profile_says_what_is_believed_and_why(api):
    profile = api.get("/v1/users/reader/profile").json()
    assert profile["is_known"]
    assert profile["n_seen_items"] == 4
    assert profile["n_events_in_session"] == 1
    assert profile["disliked_item_ids"] == ["food-0"]
    assert profile["interests"] == [{"category": "sea", "share": 1.0}]
    assert profile["activity"]["n_interactions_7d"] == 3
    assert profile["activity"]["last_interaction_at"] == "2025-06-01T02:00:00Z"
    assert [(each["item_id"], each["title"], each["value"]) for each in profile["recent_events"]] == [
        ("food-0", "Food number 0", None),
        ("gone-1", None, None),
        ("sea-4", "Sea number 4", 4.5),
    ]


def test_an_unknown_user_has_an_empty_profile(api, user):
    profile = api.get(f"/v1/users/{user}/profile").json()
    assert (profile["is_known"], profile["recent_events"], profile["activity"]) == (False, [], None)


def test_similar_items_are_near_and_available(api):
    answer = api.get("/v1/items/sea-8/similar", params={"n": 3}).json()
    assert item_ids(answer)[0] == "sea-7"
    assert "sea-9" not in item_ids(answer)
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]


def test_an_item_the_model_does_not_know_is_not_found(api):
    answer = api.get("/v1/items/new-0/similar")
    assert answer.status_code == 404
    assert "does not know item 'new-0'" in answer.json()["detail"]


def test_ready_says_with_which_model(api, world):
    ready = api.get("/readyz").json()
    assert ready["ready"]
    assert ready["model"]["version"] == str(world.versions[0])
    assert f'freshet_model_info{{alias="champion",name="freshet-recommender",version="{world.versions[0]}"}} 1.0' in (
        api.get("/metrics").text
    )
