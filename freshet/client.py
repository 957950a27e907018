"""A client of the HTTP API, for Python programs that send events and ask for lists.

Every method is one request; what it returns is the answer's JSON, with the types of ``client_types.py``. A list that
is asked for reflects the events that this client has sent: it hands their freshness token on by itself. Threads may
share one.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, cast
from urllib.parse import quote
from uuid import uuid4

import httpx

from freshet.client_types import (
    EventResult,
    EventsAccepted,
    ItemDeleted,
    ItemDetails,
    ItemStored,
    NewEvent,
    Recommendations,
    SearchResults,
    SimilarItems,
    UserErased,
)
from freshet.contract import MAX_EVENTS_PER_REQUEST

BUSY = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.INSUFFICIENT_STORAGE})
"""Answers after which the same request is sent again."""


class ApiError(Exception):
    """The API refused: ``status`` of HTTP, ``detail`` for a person, ``errors`` by field (RFC 9457)."""

    def __init__(self, answer: httpx.Response) -> None:
        """Of an answer that is no success."""
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        problem = answer.json() if is_problem else {"detail": answer.text[:200]}
        self.status: int = answer.status_code
        self.detail: str = problem["detail"]
        self.errors: list[dict[str, Any]] = problem.get("errors", [])
        super().__init__(f"{self.status}: {self.detail}")


class Client:
    """The API at one address. Methods raise ApiError when it refuses, and httpx.TransportError when it is not there."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        timeout_seconds: float = 10.0,
        tries: int = 4,
        longest_wait_seconds: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """A request that is answered with one of BUSY, or with nothing, is sent up to ``tries`` times.

        Before the next try it waits as long as ``Retry-After`` says, or one second; it gives up at once where that is
        longer than ``longest_wait_seconds``.
        """
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_seconds)
        self._tries, self._longest_wait, self._sleep = tries, longest_wait_seconds, sleep
        self._lock, self._newest = threading.Lock(), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    @property
    def freshness_token(self) -> str | None:
        """What the next list will reflect: all that this client has sent so far. None: nothing yet."""
        return str(self._newest) if self._newest else None

    def send(self, *events: NewEvent) -> EventsAccepted:
        """Tell what happened. Each event gets an id, unless it has one, so that a second try does not count twice.

        One that is wrong is ``rejected``, with the reason in ``results``, and holds up no other. 422: none can be used.
        """
        told = [{"event_id": str(uuid4()), **event} for event in events]
        whole = EventsAccepted(accepted=0, duplicate=0, rejected=0, results=[], freshness_token=None)
        for start in range(0, len(told), MAX_EVENTS_PER_REQUEST):
            part: EventsAccepted = self._ask("POST", "/v1/events", told[start : start + MAX_EVENTS_PER_REQUEST])
            whole["accepted"] += part["accepted"]
            whole["duplicate"] += part["duplicate"]
            whole["rejected"] += part["rejected"]
            whole["results"] += [
                cast(EventResult, {**result, "index": start + result["index"]}) for result in part["results"]
            ]
            whole["freshness_token"] = part["freshness_token"] or whole["freshness_token"]
            self._remember(part["freshness_token"])
        return whole

    def recommend(
        self,
        user_id: str | None,
        n: int = 10,
        *,
        session_id: str | None = None,
        scenario: str = "home",
        query: str | None = None,
        beside_item_ids: Sequence[str] = (),
        item_filter: Mapping[str, Any] | None = None,
        exclude_item_ids: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
    ) -> Recommendations:
        """The items this user is most likely to want next; ``beside_item_ids`` are on the page or in the basket.

        A visitor without a ``user_id`` (None) is named by their ``session_id``.
        """
        wanted = {
            "user_id": user_id,
            "session_id": session_id,
            "n": n,
            "scenario": scenario,
            "query": query,
            "context": {"item_ids": list(beside_item_ids)},
            "filter": item_filter,
            "exclude_item_ids": list(exclude_item_ids),
            "diversity": diversity,
            "explain": explain,
            "min_freshness_token": self.freshness_token,
        }
        answer: Recommendations = self._ask("POST", "/v1/recommendations", wanted)
        return answer

    def search(
        self, query: str, n: int = 10, *, user_id: str | None = None, item_filter: Mapping[str, Any] | None = None
    ) -> SearchResults:
        """The items that suit these words; a user's taste decides between equals."""
        wanted = {"query": query, "n": n, "user_id": user_id, "filter": item_filter}
        answer: SearchResults = self._ask("POST", "/v1/search", wanted)
        return answer

    def similar(self, item_id: str, n: int = 10) -> SimilarItems:
        """Items that go with this one, for everybody alike."""
        answer: SimilarItems = self._ask("GET", f"/v1/items/{_part(item_id)}/similar?n={n}")
        return answer

    def put_item(self, item_id: str, item: Mapping[str, Any]) -> ItemStored:
        """Tell of a new item, or all of one that has changed; it is recommendable within a moment."""
        answer: ItemStored = self._ask("PUT", f"/v1/items/{_part(item_id)}", item)
        return answer

    def get_item(self, item_id: str) -> ItemDetails:
        """All that is known of an item."""
        answer: ItemDetails = self._ask("GET", f"/v1/items/{_part(item_id)}")
        return answer

    def delete_item(self, item_id: str) -> ItemDeleted:
        """Hide an item everywhere. 410: it was deleted before, perhaps by a first try whose answer was lost."""
        answer: ItemDeleted = self._ask("DELETE", f"/v1/items/{_part(item_id)}")
        return answer

    def profile(self, user_id: str) -> dict[str, Any]:
        """What the platform believes about a user, and from which events; /docs describes it."""
        answer: dict[str, Any] = self._ask("GET", f"/v1/users/{_part(user_id)}/profile")
        return answer

    def erase_user(self, user_id: str) -> UserErased:
        """Forget a user; needs a key with the scope `admin`."""
        answer: UserErased = self._ask("DELETE", f"/v1/users/{_part(user_id)}")
        self._remember(answer["freshness_token"])
        return answer

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {} if body is None else {"Content-Type": "application/json"}
        content = None if body is None else json.dumps(body, default=datetime.isoformat)
        for tries_left in reversed(range(self._tries)):
            try:
                answer = self._http.request(method, path, content=content, headers=headers)
            except httpx.TransportError:
                if not tries_left:
                    raise
                self._sleep(1.0)
                continue
            wait = _seconds(answer)
            if answer.status_code not in BUSY or not tries_left or wait > self._longest_wait:
                break
            self._sleep(wait)
        if not answer.is_success:
            raise ApiError(answer)
        return answer.json()

    def _remember(self, token: str | None) -> None:
        with self._lock:
            self._newest = max(self._newest, int(token or 0))


def _seconds(answer: httpx.Response) -> float:
    """How long to wait; our API gives whole seconds, what stands before it perhaps a date or nothing."""
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else 1.0


def _part(any_id: str) -> str:
    """An id as one part of a path."""
    return quote(any_id, safe="")
