"""Requests made from the API's own document, right and wrong ones: never a 5xx, and every 4xx is a problem.

``FUZZ_REQUESTS`` says how many; `make fuzz` sends over 10,000.
"""

import json
import os
import shutil
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from freshet.settings import Settings
from serving.app import create_app

N_REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "400"))
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def api(world, tmp_path_factory, eventually):
    """An application with a model and features, that may be filled with nonsense."""
    home = tmp_path_factory.mktemp("fuzz") / "home"
    shutil.copytree(world.settings.home, home, ignore=shutil.ignore_patterns("log"))
    with TestClient(create_app(world.settings.model_copy(update={"home": home})), raise_server_exceptions=False) as api:
        assert eventually(lambda: api.get("/readyz").status_code == 200), api.get("/readyz").json()
        yield api


# Building the application opens nothing.
schema = schemathesis.openapi.from_dict(
    create_app(Settings(home="unused")).openapi(), config=schemathesis.Config.from_dict({"generation": {"mode": "all"}})
)
N_OPERATIONS = len(list(schema.get_all_operations()))
AT_ONCE = settings(
    max_examples=max(N_REQUESTS // (N_OPERATIONS + 3), 1),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def check(answer):
    """No fault of ours; and whatever is refused is refused in one form."""
    asked = f"{answer.request.method} {answer.request.url}"
    assert answer.status_code < 500, f"{asked}: {answer.text[:500]}"
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json", asked
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["detail"]


@schema.parametrize()
@AT_ONCE
def test_no_request_that_the_document_suggests_is_our_fault(case, api):
    assume(len(str(case.query)) < 5_000)  # longer ones the client refuses itself
    wanted = case.as_transport_kwargs(base_url="http://testserver")
    if isinstance(wanted.get("data"), bytes):
        wanted["content"] = wanted.pop("data")
    wanted.pop("cookies", None)  # nothing here reads any
    check(api.request(**wanted))


ids = st.text(max_size=130) | st.sampled_from(
    ["", " ", "42", "ñandú", "用户-1", "🦑", "a/b", "%", "..", "\x00", "x" * 129]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
FIELDS = ("event_id", "event_type", "user_id", "item_id", "occurred_at", "value", "text", "session_id", "properties")
FIELDS += ("title", "categories", "price", "attributes", "query", "n", "filter", "diversity", "context", "scenario")
named = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything))


def written(value):
    """JSON as Python writes it: with NaN and Infinity, which are none."""
    return json.dumps(value).encode()


def twice(value):
    """An object with every key two times."""
    inside = written(value)[1:-1]
    return b"{%b,%b}" % (inside, inside)


bodies = st.one_of(
    st.binary(max_size=200),
    (anything | named | st.lists(named, max_size=3)).map(written),
    named.filter(bool).map(twice),
    st.integers(1, 5_000).map(lambda depth: b'{"properties":' * depth + b"1" + b"}" * depth),
    st.integers(1, 5_000).map(lambda depth: b"[" * depth + b"]" * depth),
)
BODY_PATHS = [
    ("POST", "/v1/events"),
    ("POST", "/v1/recommendations"),
    ("POST", "/v1/search"),
    ("PUT", "/v1/items/fuzz"),
]


@AT_ONCE
@given(where=st.sampled_from(BODY_PATHS), body=bodies)
def test_no_body_is_our_fault(api, where, body):
    method, path = where
    check(api.request(method, path, content=body, headers=JSON))


ID_PATHS = ["users/{}/recommendations", "users/{}/profile", "items/{}", "items/{}/similar", "recommendations/{}"]


@AT_ONCE
@given(path=st.sampled_from(ID_PATHS), any_id=ids)
def test_no_id_is_our_fault(api, path, any_id):
    check(api.get("/v1/" + path.format(quote(any_id, safe=""))))


@AT_ONCE
@given(user=ids, item=ids, event=ids)
def test_an_event_about_anybody_is_taken_or_refused(api, user, item, event):
    told = {"event_id": event, "event_type": "view", "user_id": user, "item_id": item}
    answer = api.post("/v1/events", json=told)
    check(answer)
    if answer.status_code == 202:
        token = answer.json()["freshness_token"]
        wanted = {"user_id": user, "exclude_item_ids": [item], "min_freshness_token": token}
        assert api.post("/v1/recommendations", json=wanted).json()["degraded"] == []


@pytest.mark.parametrize(("method", "path"), BODY_PATHS)
def test_ten_megabytes_are_refused(api, method, path):
    answer = api.request(method, path, content=b'{"title":"' + b"x" * 10_000_000 + b'"}', headers=JSON)
    check(answer)
    assert answer.status_code == 413
