"""Whatever strangers send, the answer is a 4xx problem that says what to do, and never a 5xx."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.body_limit import MAX_BODY_BYTES

JSON = "application/json"
EVENTS, LISTS = "/v1/events", "/v1/recommendations"
VIEW = {"event_type": "view", "user_id": "u1", "item_id": "i1"}
LONG_ID = "x" * 129


def post(path, content, media_type=JSON):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return ("POST", path, {"content": body, "headers": {"content-type": media_type}})


def get(path):
    return ("GET", path, {})


BAD = {
    # what is no JSON
    "malformed event": (post(EVENTS, b'{"user_id": '), 400, "malformed JSON"),
    "malformed request": (post(LISTS, b'{"user_id": '), 400, "malformed JSON"),
    "empty event": (post(EVENTS, b""), 400, "the body is empty"),
    "empty request": (post(LISTS, b""), 422, "body"),
    "broken UTF-8 in an event": (post(EVENTS, b'{"user_id": "\xff"}'), 400, "not UTF-8"),
    "broken UTF-8 in a request": (post(LISTS, b'{"user_id": "\xff"}'), 400, "UTF-8"),
    "lone surrogate in an event": (post(EVENTS, b'{"user_id": "\\ud800"}'), 400, "malformed JSON"),
    "lone surrogate in a request": (post(LISTS, b'{"user_id": "\\ud800"}'), 422, "body.user_id"),
    "bottomless event": (post(EVENTS, b"[" * 100_000), 400, "malformed JSON"),
    "bottomless request": (post(LISTS, b"[" * 100_000), 400, "JSON"),
    "NaN in an event": (post(EVENTS, b'{"event_type":"rating","value":NaN}'), 400, "malformed JSON"),
    "NaN in a request": (post(LISTS, b'{"user_id":"u1","n":NaN}'), 422, "body.n"),
    "endless number in an event": (post(EVENTS, b'{"value":' + b"9" * 5_000 + b"}"), 400, "malformed JSON"),
    "endless number in a request": (post(LISTS, b'{"user_id":"u1","n":' + b"9" * 5_000 + b"}"), 400, "JSON"),
    "huge number in a request": (post(LISTS, {"user_id": "u1", "n": 10**300}), 422, "body.n"),
    # the wrong kind of body
    "XML": (post(EVENTS, b"<event/>", "application/xml"), 415, "send application/json"),
    "a form": (post(LISTS, b"user_id=u1", "application/x-www-form-urlencoded"), 415, "send application/json"),
    "no content type": (post(EVENTS, VIEW, ""), 415, "send application/json"),
    "an event as batch": (post(EVENTS, VIEW, "application/cloudevents-batch+json"), 422, "a list of CloudEvents"),
    "a batch as event": (post(EVENTS, [VIEW], "application/cloudevents+json"), 422, "one CloudEvent object"),
    "an event as CloudEvent": (post(EVENTS, VIEW, "application/cloudevents+json"), 422, "specversion"),
    # too much
    "huge body": (post(EVENTS, b" " * (MAX_BODY_BYTES + 1)), 413, "larger than 8,388,608 bytes"),
    "huge request": (post(LISTS, b" " * (MAX_BODY_BYTES + 1)), 413, "larger than 8,388,608 bytes"),
    "huge event": (post(EVENTS, {**VIEW, "properties": {"blob": "x" * 40_000}}), 413, "the limit is 32,768"),
    "too many events": (post(EVENTS, [VIEW] * 1_001), 413, "the limit is 1,000"),
    # wrong events
    "no event": (post(EVENTS, []), 422, "at least one event"),
    "null": (post(EVENTS, None), 422, "an event object or a list"),
    "nulls": (post(EVENTS, [None, None]), 422, "an event is a JSON object"),
    "no user": (post(EVENTS, {"event_type": "view", "item_id": "i1"}), 422, "user_id"),
    "null user": (post(EVENTS, {**VIEW, "user_id": None}), 422, "user_id"),
    "number as user": (post(EVENTS, {**VIEW, "user_id": 42}), 422, "user_id"),
    "unknown event type": (post(EVENTS, {**VIEW, "event_type": "stare"}), 422, "event_type"),
    "unknown field": (post(EVENTS, {**VIEW, "colour": "red"}), 422, "colour: unknown field"),
    "skewed clock": (post(EVENTS, {**VIEW, "occurred_at": "2199-01-01T00:00:00Z"}), 422, "the sender's clock"),
    "naive time": (post(EVENTS, {**VIEW, "occurred_at": "2025-01-01T00:00:00"}), 422, "occurred_at"),
    "time beyond the calendar": (post(EVENTS, {**VIEW, "occurred_at": "0001-01-01T00:00:00+09:00"}), 422, "range"),
    # wrong requests
    "no user to recommend to": (post(LISTS, {}), 422, "user_id is missing: send it, or the session_id"),
    "a user and a session": (post(LISTS, {"user_id": "u1", "session_id": "s1"}), 422, "exclude each other"),
    "a long session": (post(LISTS, {"session_id": "s" * 121}), 422, "body.session_id"),
    "a visitor's long session": (
        post(EVENTS, {"event_type": "view", "item_id": "i1", "session_id": "s" * 121}),
        422,
        "at most 120 characters",
    ),
    "a visitor's blank session": (
        post(EVENTS, {"event_type": "view", "item_id": "i1", "session_id": "a b"}),
        422,
        "printable text without blanks",
    ),
    "a list to recommend to": (post(LISTS, ["u1"]), 422, "body"),
    "blank user": (post(LISTS, {"user_id": " "}), 422, "printable text without blanks"),
    "long user": (post(LISTS, {"user_id": LONG_ID}), 422, "body.user_id"),
    "no list": (post(LISTS, {"user_id": "u1", "n": 0}), 422, "body.n"),
    "long list": (post(LISTS, {"user_id": "u1", "n": 101}), 422, "body.n"),
    "truth as length": (post(LISTS, {"user_id": "u1", "n": True}), 422, "body.n"),
    "text as length": (post(LISTS, {"user_id": "u1", "n": "10"}), 422, "body.n"),
    "null length": (post(LISTS, {"user_id": "u1", "n": None}), 422, "body.n"),
    "text as exclusions": (post(LISTS, {"user_id": "u1", "exclude_item_ids": "i1"}), 422, "body.exclude_item_ids"),
    "too many exclusions": (
        post(LISTS, {"user_id": "u1", "exclude_item_ids": ["i"] * 1_001}),
        422,
        "body.exclude_item_ids",
    ),
    "unknown option": (post(LISTS, {"user_id": "u1", "novelty": 1}), 422, "body.novelty: unknown field"),
    "unknown scenario": (post(LISTS, {"user_id": "u1", "scenario": "cellar"}), 422, "body.scenario"),
    "a basket of nothing": (post(LISTS, {"user_id": "u1", "scenario": "basket"}), 422, "so name them"),
    "a search for nothing": (post(LISTS, {"user_id": "u1", "scenario": "search"}), 422, "query is missing"),
    "blank query": (post("/v1/search", {"query": "  "}), 422, "body.query"),
    "long query": (post("/v1/search", {"query": "x" * 501}), 422, "body.query"),
    "too much variety": (post(LISTS, {"user_id": "u1", "diversity": 1.1}), 422, "body.diversity"),
    "NaN as variety": (post(LISTS, b'{"user_id":"u1","diversity":NaN}'), 422, "body.diversity"),
    "unknown part of a filter": (post(LISTS, {"user_id": "u1", "filter": {"sql": "1=1"}}), 422, "filter.sql: unknown"),
    "text as filter": (post(LISTS, {"user_id": "u1", "filter": "price < 5"}), 422, "body.filter"),
    "price upside down": (
        post(LISTS, {"user_id": "u1", "filter": {"price": {"min": 5, "max": 2}}}),
        422,
        "min 5 is larger than max 2",
    ),
    "too many labels": (
        post(LISTS, {"user_id": "u1", "filter": {"tags": {"any_of": ["x"] * 101}}}),
        422,
        "body.filter.tags.any_of",
    ),
    "nested attribute": (post(LISTS, {"user_id": "u1", "filter": {"attributes": {"a": {}}}}), 422, "attributes.a"),
    "forged token": (post(LISTS, {"user_id": "u1", "min_freshness_token": "x"}), 422, "body.min_freshness_token"),
    "token of another log": (
        post(LISTS, {"user_id": "u1", "min_freshness_token": "999999999999"}),
        422,
        "was never given out",
    ),
    "long list by GET": (get("/v1/users/u1/recommendations?n=101"), 422, "query.n"),
    "text as length by GET": (get("/v1/users/u1/recommendations?n=ten"), 422, "query.n"),
    "unknown option by GET": (get("/v1/users/u1/recommendations?k=5"), 422, "query.k: unknown field"),
    "blank user by GET": (get("/v1/users/%20/recommendations"), 422, "printable text without blanks"),
    "NUL as user": (get("/v1/users/%00/profile"), 422, "printable text without blanks"),
    "long item": (get(f"/v1/items/{LONG_ID}/similar"), 422, "path.item_id"),
    # wrong addresses
    "unknown path": (get("/v2/recommendations"), 404, "/docs lists every path"),
    "wrong method": (get(EVENTS), 405, "GET is not possible"),
    "deletion": (("DELETE", "/v1/search", {}), 405, "DELETE is not possible"),
    "no lineage yet": (get("/lineage/"), 404, "freshet transform"),
    "out of the lineage": (get("/lineage/..%2f..%2flog%2fevents.db"), 404, "dbt has written no"),
}


@pytest.mark.parametrize(("request_", "status", "sentence"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_a_problem_that_says_what_to_do(cold_api, request_, status, sentence):
    method, path, arguments = request_
    answer = cold_api.request(method, path, **arguments)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert sentence in problem["detail"]


def test_a_wrong_method_names_those_that_work(cold_api):
    assert cold_api.get(EVENTS).headers["allow"] == "POST"


def test_a_body_is_refused_while_it_streams_in(cold_api):
    chunks = (b" " * 65_536 for _ in range(2 * MAX_BODY_BYTES // 65_536))
    answer = cold_api.post(EVENTS, content=chunks, headers={"content-type": JSON})
    assert answer.status_code == 413


def test_a_problem_shows_the_wrong_value_but_not_all_of_it(cold_api):
    answer = cold_api.post(LISTS, json={"user_id": "u1", "n": "x" * 10_000})
    [wrong] = answer.json()["errors"]
    assert wrong["field"] == "body.n"
    assert wrong["value"].startswith("'xxx")
    assert len(answer.content) < 1_000


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
FIELDS = ("event_id", "event_type", "user_id", "item_id", "occurred_at", "value", "text", "properties")
event_like = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from([EVENTS, LISTS]), body=st.binary(max_size=200) | (anything | event_like).map(json.dumps))
def test_no_body_is_our_fault(cold_api, path, body):
    answer = cold_api.post(path, content=body, headers={"content-type": JSON})
    assert answer.status_code < 500
