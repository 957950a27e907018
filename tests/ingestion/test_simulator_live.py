"""Live users ask, look and answer over HTTP; here a shop of ten lines answers them."""

import http.server
import json
import threading

import numpy as np
import pytest

from freshet.contract import Event
from ingestion.simulator_catalogue import Catalogue
from ingestion.simulator_live import act
from ingestion.simulator_wording import Wording
from ingestion.simulator_world import WorldConfig, build_world

WORLD = build_world(WorldConfig(n_users=50, n_items=200, n_days=10, n_events=2_000))


@pytest.fixture
def shop():
    """A web server that recommends what a user likes best, and one thing that nobody knows; and what it was sent."""
    sent, numbers = [], {Wording(WORLD).user_id(user): user for user in range(50)}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sent.append((self.path, body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(self.answer(body)).encode())

        def answer(self, body):
            if self.path == "/v1/events":
                return {"accepted": len(body)}
            best = np.argsort(-WORLD.preference(np.array([numbers[body["user_id"]]]), np.arange(200)))
            items = [{"item_id": Catalogue(WORLD).item_id(int(item))} for item in best[: body["n"] - 1]]
            return {"recommendation_id": f"r{len(sent)}", "items": [*items, {"item_id": "from-elsewhere"}]}

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()
        thread.join()


def test_live_users_answer_the_lists_they_get(shop):
    address, sent = shop
    report = act(address, WORLD, n_visits=30, list_length=6)
    asked = [body for path, body in sent if path == "/v1/recommendations"]
    events = [event for path, body in sent if path == "/v1/events" for event in body]
    assert (len(asked), report.n_visits, report.n_shown) == (30, 30, 150)
    assert 30 < report.n_clicks == sum(event["event_type"] == "click" for event in events)
    assert report.n_events_accepted == len(events) == len({event["event_id"] for event in events})
    assert all(event["recommendation_id"].startswith("r") for event in events)
    assert all(Event.model_validate(event | {"received_at": event["occurred_at"]}) for event in events)


def test_good_lists_please_more_than_chance(shop):
    report = act(shop[0], WORLD, n_visits=20)
    assert report.mean_preference_shown > report.mean_preference_anything + 2


def test_an_address_without_a_scheme_is_refused():
    with pytest.raises(ValueError, match=r"'localhost:8000' is not the address of an API"):
        act("localhost:8000", WORLD, n_visits=1)
