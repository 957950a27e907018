"""Simulated people as live users of a running API: they ask for a list, look at it from the top, and react to it.

What they like is known exactly, so the report says how well the lists suited them, not only how often they clicked.
"""

import json
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from uuid6 import uuid7

from ingestion.simulator import TASTE, attention
from ingestion.simulator_catalogue import Catalogue
from ingestion.simulator_wording import Wording
from ingestion.simulator_world import World

TIMEOUT_SECONDS = 30.0
CLICK_THRESHOLD = 1.2


@dataclass(frozen=True)
class LiveReport:
    """What the live users did, and how they truly liked what they were shown."""

    n_visits: int
    n_shown: int
    n_clicks: int
    n_events_accepted: int
    mean_preference_shown: float
    """Mean true preference over all places of all lists."""
    mean_preference_anything: float
    """The same for things drawn blindly: what a list must beat."""


def act(base_url: str, world: World, *, n_visits: int, list_length: int = 10, seed: int = 0) -> LiveReport:
    """Let people visit the shop at ``base_url``, one after the other, the active ones more often."""
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"{base_url!r} is not the address of an API: give one such as http://127.0.0.1:8000")
    rng = np.random.default_rng([world.config.seed, 9, seed])
    chance = world.users.activity / world.users.activity.sum()
    visits = [
        _visit(base_url, world, int(user), list_length, rng) for user in rng.choice(len(chance), n_visits, p=chance)
    ]
    shown = [preference for visit in visits for preference in visit.preferences]
    anything = world.preference(rng.integers(0, len(chance), 10_000), rng.integers(0, world.config.n_items, 10_000))
    return LiveReport(
        n_visits=n_visits,
        n_shown=len(shown),
        n_clicks=sum(visit.n_clicks for visit in visits),
        n_events_accepted=sum(visit.n_accepted for visit in visits),
        mean_preference_shown=float(np.mean(shown)) if shown else 0.0,
        mean_preference_anything=float(anything.mean()),
    )


@dataclass(frozen=True)
class _Visit:
    preferences: list[float]
    n_clicks: int
    n_accepted: int


def _visit(base_url: str, world: World, user: int, list_length: int, rng: np.random.Generator) -> _Visit:
    """Ask for a list, look at it place by place, and send what came of it in one request."""
    user_id = Wording(world).user_id(user)
    answer = _post(f"{base_url}/v1/recommendations", {"user_id": user_id, "n": list_length})
    numbers = [Catalogue(world).item_number(str(item["item_id"])) for item in answer["items"]]
    items = np.array([number for number in numbers if number is not None], dtype=np.int64)
    preferences = world.preference(np.full(len(items), user), items)
    appeal = TASTE * preferences + rng.logistic(size=len(items))
    clicked = np.flatnonzero((rng.random(len(items)) < attention(len(items))) & (appeal > CLICK_THRESHOLD))
    events = [
        event
        for place in clicked
        for event in _answer(world, user_id, int(items[place]), float(preferences[place]), answer, rng)
    ]
    accepted = _post(f"{base_url}/v1/events", _timed(events))["accepted"] if events else 0
    return _Visit(preferences.tolist(), len(clicked), int(accepted))


def _answer(
    world: World, user_id: str, item: int, preference: float, answer: dict[str, Any], rng: np.random.Generator
) -> list[dict[str, object]]:
    """A click that quotes the list; what pleases may be bought as well."""
    kinds = ["click", *(["add_to_cart", "purchase"] if preference > 1 and rng.random() < 0.1 else [])]
    common = {"user_id": user_id, "item_id": Catalogue(world).item_id(item)}
    quoted = {"recommendation_id": answer["recommendation_id"]}
    return [{"event_id": str(uuid7()), "event_type": kind, **common, **quoted} for kind in kinds]


def _timed(events: list[dict[str, object]]) -> list[dict[str, object]]:
    """Their own clock, in the order in which they acted."""
    now = datetime.now(UTC)
    times = (now + timedelta(microseconds=step) for step in range(len(events)))
    return [event | {"occurred_at": time.isoformat()} for event, time in zip(events, times, strict=True)]


def _post(url: str, body: object) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 (the scheme was checked)
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found
