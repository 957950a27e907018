"""Events in, and how soon the answers know of them."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from typing import Any

import httpx

from benchmarks.load import Load, Plan, finish_load, get, percentile, post, run_load, start_load
from benchmarks.serve_world import item_ids, user_ids

BATCH = 500
EVENTS_PER_SECOND = 200.0
READS_PER_SECOND = 100.0
_WRITERS = 200
"""Users of their own, so that the histories of those who are asked about stay as they were made."""
_PROBERS = 40
_ITEMS_PUT = 10
_LOST_SECONDS = 5.0
_LOOK_SECONDS = 0.005
"""Between two looks for an event: whoever looks without a pause takes a third of a core from the server."""
_QUESTIONS_A_USER = 5
_asked = count()


def batched_events(port: int, n_items: int, seconds: float) -> float:
    """Durable events per second when they come in batches."""
    batches = [post("/v1/events", [_event(first + each, n_items) for each in range(BATCH)]) for first in range(10)]
    return run_load(Plan(port, batches, seconds, connections=2)).per_second * BATCH


def single_events(port: int, n_items: int, seconds: float) -> float:
    """Durable events per second when each comes alone."""
    return run_load(Plan(port, single_requests(n_items), seconds, connections=16)).per_second


def wait_for_worker(port: int) -> None:
    """Wait until every event is folded."""
    address = f"http://127.0.0.1:{port}/readyz"
    while httpx.get(address, timeout=60).json()["nearline_lag"]:  # far behind, it says 503
        time.sleep(0.2)


@dataclass
class Freshness:
    """What a few users saw while many others were active."""

    visible_ms: list[float] = field(default_factory=list)
    """From sending an event until an answer without a token knows of it."""
    stale: int = 0
    """Answers with the token of an acknowledged event that did not know of it."""
    asked_with_token: int = 0


def freshness(port: int, n_items: int, seconds: float, seed: int) -> Freshness:
    """Send events and look for them, by turns with a token and without, beside a steady load of events and reads."""
    events = start_load(Plan(port, single_requests(n_items), seconds, rate=EVENTS_PER_SECOND, seed=seed))
    reads = start_load(Plan(port, recommendations(), seconds, rate=READS_PER_SECOND, seed=seed + 1))
    found = Freshness()
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    end, number = time.perf_counter() + seconds - 0.5, 0
    while time.perf_counter() < end:
        user = f"prober-{number % _PROBERS}"
        if number % 2:
            found.visible_ms.append(_until_visible(connection, user, item_ids(n_items)[number % n_items]))
        else:
            found.asked_with_token += 1
            found.stale += _is_stale(connection, user)
        number += 1
        time.sleep(0.01)
    connection.close()
    loads: list[Load] = [finish_load(events), finish_load(reads)]
    assert all(len(load.latencies_ms) for load in loads)
    return found


def recommendations() -> list[str]:
    """Some questions for each user that nobody has asked before, so that their lists have to be made."""
    users = user_ids() * _QUESTIONS_A_USER
    return [get(f"/v1/users/{user}/recommendations?n=10&exclude_item_ids=none-{next(_asked)}") for user in users]


def recommendations_again() -> list[str]:
    """One question for each user, always the same: what was made within the last two minutes is the answer."""
    return [get(f"/v1/users/{user}/recommendations?n=10") for user in user_ids()]


def searches(numbers: Iterable[int]) -> list[str]:
    """Searches by words, each number by words of its own."""
    moods = ("quiet", "funny", "dark", "short", "famous")
    texts = [f"something {moods[number % 5]} about topic {number % 37} for evening {number}" for number in numbers]
    return [post("/v1/search", {"query": text, "n": 10}) for text in texts]


def items_put(port: int) -> list[float]:
    """Milliseconds from sending an item that nobody has heard of until lists can have it, one after the other."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    taken = [_until_recommendable(connection, number) for number in range(_ITEMS_PUT)]
    connection.close()
    return taken


def visible_p99(found: list[Freshness]) -> list[float]:
    """One figure for each repetition."""
    return [percentile(each.visible_ms, 0.99) for each in found]


def _until_visible(connection: HTTPConnection, user: str, item: str) -> float:
    began = time.perf_counter()
    event = {"event_type": "view", "user_id": user, "item_id": item}
    sent = _ask(connection, "POST", "/v1/events", event)["results"][0]["event_id"]
    while time.perf_counter() - began < _LOST_SECONDS:
        known = _ask(connection, "GET", f"/v1/users/{user}/profile")["recent_events"]
        if any(event["event_id"] == sent for event in known):
            return (time.perf_counter() - began) * 1e3
        time.sleep(_LOOK_SECONDS)
    return _LOST_SECONDS * 1e3


def _until_recommendable(connection: HTTPConnection, number: int) -> float:
    began = time.perf_counter()
    item = {"title": f"The new one of evening {number}, about topic {number % 37}", "categories": [f"topic {number}"]}
    if not _ask(connection, "PUT", f"/v1/items/new-{number}", item)["is_recommendable"]:
        path = f"/v1/items/new-{number}/similar?n=1"
        while not _is_found(connection, path):
            time.sleep(_LOOK_SECONDS)
    return (time.perf_counter() - began) * 1e3


def _is_found(connection: HTTPConnection, path: str) -> bool:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status == 200


def _is_stale(connection: HTTPConnection, user: str) -> bool:
    """Choose the first of a list: with the token of that event it must be gone from the next one."""
    chosen = _ask(connection, "GET", f"/v1/users/{user}/recommendations")["items"][0]["item_id"]
    event = {"event_type": "view", "user_id": user, "item_id": chosen}
    token = _ask(connection, "POST", "/v1/events", event)["freshness_token"]
    after = _ask(connection, "POST", "/v1/recommendations", {"user_id": user, "min_freshness_token": token})
    return "freshness" in after["degraded"] or any(line["item_id"] == chosen for line in after["items"])


def _ask(connection: HTTPConnection, method: str, path: str, body: object = None) -> Any:
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
    response = connection.getresponse()
    answer = response.read()
    if response.status >= 300:
        raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
    return json.loads(answer)


def single_requests(n_items: int) -> list[str]:
    """Requests that bring one event each, a new one however often they are sent."""
    return [post("/v1/events", _event(number, n_items)) for number in range(1_000)]


def _event(number: int, n_items: int) -> dict[str, str]:
    item = number * 7_919 % n_items
    return {"event_type": "view", "user_id": f"writer-{number % _WRITERS}", "item_id": f"item-{item:07d}"}
