"""Keys open what they are for and nothing else, as often as they may, until they are revoked."""

import base64
from contextlib import closing

import pytest
from starlette.testclient import TestClient

from freshet.settings import Settings
from serving.api_keys import SqliteApiKeys
from serving.app import create_app
from serving.protection import RateLimiter, required_scope

VIEW = {"event_type": "view", "user_id": "u1", "item_id": "i1"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """An application that asks for keys: (api, keys)."""
    settings = Settings(home=tmp_path_factory.mktemp("guarded"), api_auth="keys", api_host="0.0.0.0")
    with TestClient(create_app(settings)) as api, closing(SqliteApiKeys(settings.keys_path)) as keys:
        yield api, keys


@pytest.fixture
def ask(guarded):
    """Ask with a new key of some scopes, or with whatever is sent; returns the answer."""
    api, keys = guarded

    def send(method, path, *scopes, sent=None, rate=100.0, **arguments):
        sent = sent or (f"Bearer {keys.create('test', scopes, rate)[1]}" if scopes else None)
        return api.request(method, path, headers={"authorization": sent} if sent else {}, **arguments)

    return send


ROUTES = [
    ("POST", "/v1/events", "events:write", {"json": VIEW}, 202),
    ("POST", "/v1/recommendations", "recommend:read", {"json": {"user_id": "u1"}}, 200),
    ("GET", "/v1/users/u1/recommendations", "recommend:read", {}, 200),
    ("GET", "/v1/users/u1/profile", "recommend:read", {}, 200),
    ("POST", "/v1/search", "recommend:read", {"json": {"query": "lamps"}}, 200),
    ("PUT", "/v1/items/lamp", "items:write", {"json": {"title": "A lamp"}}, 200),
    ("DELETE", "/v1/users/u1", "admin", {}, 202),
    ("GET", "/v1/items/lamp", "recommend:read", {}, 200),
    ("GET", "/metrics", "admin", {}, 200),
    ("GET", "/lineage/", "admin", {}, 404),
    ("GET", "/data", "admin", {}, 200),
]


@pytest.mark.parametrize(("method", "path", "scope", "arguments", "status"), ROUTES)
def test_each_route_opens_to_its_scope_and_to_admin_alone(ask, method, path, scope, arguments, status):
    others = {"events:write", "recommend:read", "items:write"} - {scope}  # a shop's page has such keys
    assert ask(method, path, **arguments).status_code == 401
    assert ask(method, path, *others, **arguments).status_code == 403
    assert ask(method, path, scope, **arguments).status_code == status
    assert ask(method, path, "admin", **arguments).status_code == status


def test_every_route_says_which_scope_it_needs(cold_api):
    for path, methods in cold_api.get("/openapi.json").json()["paths"].items():
        for method, route in methods.items():
            assert route.get("x-required-scope") == required_scope(method.upper(), path)
            assert bool(route.get("security")) == bool(required_scope(method.upper(), path))


def test_what_nobody_listed_is_closed():
    assert required_scope("POST", "/v1/anything/new") == required_scope("GET", "/status") == "admin"
    assert required_scope("DELETE", "/v1/anything/u1") == "admin"


@pytest.mark.parametrize("path", ["/", "/front.js", "/docs", "/openapi.json", "/healthz"])
def test_pages_without_data_need_no_key(ask, path):
    assert ask("GET", path).status_code == 200


@pytest.mark.parametrize("sent", ["Bearer", "Bearer x", "Basic ???", "Bearer freshet_00000000_" + "a" * 43, "Digest a"])
def test_what_is_no_key_is_refused_with_the_way_to_one(ask, sent):
    answer = ask("GET", "/v1/users/u1/profile", sent=sent)
    assert answer.status_code == 401
    assert "freshet keys create" in answer.json()["detail"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_browser_may_send_the_key_as_password(ask, guarded):
    _, text = guarded[1].create("browser", ["admin"])
    sent = "Basic " + base64.b64encode(f"me:{text}".encode()).decode()
    assert ask("GET", "/metrics", sent=sent).status_code == 200
    assert ask("GET", "/metrics").headers["www-authenticate"].startswith("Basic")


def test_a_revoked_key_is_refused_from_the_next_request_on(ask, guarded):
    key, text = guarded[1].create("short-lived", ["recommend:read"])
    assert ask("GET", "/v1/users/u1/profile", sent=f"Bearer {text}").status_code == 200
    assert guarded[1].revoke(key.key_id)
    assert not guarded[1].revoke(key.key_id)
    assert ask("GET", "/v1/users/u1/profile", sent=f"Bearer {text}").status_code == 401


def test_a_key_waits_when_it_has_sent_too_much(ask, guarded):
    _, text = guarded[1].create("slow", ["recommend:read"], requests_per_second=0.01)
    answers = [ask("GET", "/v1/users/u1/profile", sent=f"Bearer {text}") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert 90 <= int(answers[1].headers["retry-after"]) <= 100
    assert answers[1].headers["content-type"] == "application/problem+json"


def test_a_bucket_fills_again_as_time_goes_by(tmp_path):
    now = 0.0
    limiter = RateLimiter(lambda: now)
    with closing(SqliteApiKeys(tmp_path / "keys.db")) as keys:
        key, _ = keys.create("k", ["admin"], requests_per_second=2)
    assert [limiter.wait_seconds(key) for _ in range(3)] == [0, 0, 0.5]
    now = 0.5
    assert [limiter.wait_seconds(key) for _ in range(2)] == [0, 0.5]
    now = 100.0
    assert [limiter.wait_seconds(key) for _ in range(3)] == [0, 0, 0.5]  # no more than a second's worth


def test_nothing_that_is_kept_is_a_key(tmp_path):
    with closing(SqliteApiKeys(tmp_path / "keys.db")) as keys:
        _, text = keys.create("k", ["admin"])
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert text.rpartition("_")[2].encode() not in stored
    assert (tmp_path / "keys.db").stat().st_mode & 0o077 == 0


def test_answers_tell_browsers_to_be_careful(cold_api):
    headers = cold_api.get("/v1/users/u1/profile").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert cold_api.get("/docs").headers["x-frame-options"] == "DENY"
