"""A steady load of events and reads that goes on through every fault, and keeps the books of what was answered.

Senders behave as a real producer does: a batch that was not acknowledged is sent again with the same ids until it is,
and now and then one that was. Only what the API said 202 to is held against it.
"""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

N_SENDERS, N_READERS = 2, 2
PAUSE_SECONDS = 0.05
"""Between two requests of one thread: this is about being there, not about being fast."""
TIMEOUT_SECONDS = 30.0
REPEATED_SHARE = 0.1
"""Of acknowledged batches that are sent once more."""
REFUSALS = frozenset({429, 503, 507})


@dataclass
class Tally:
    """What became of the requests of one fault."""

    n_requests: int = 0
    n_answered: int = 0
    n_refused: int = 0
    n_unanswered: int = 0
    """Nobody was there, or the connection broke."""
    degraded: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Answers that must not be."""


class SteadyLoad:
    """Threads that ask and tell, of whichever of the ports answers."""

    def __init__(self, ports: Sequence[int], users: Sequence[str], items: Sequence[str], seed: int) -> None:
        """Nothing is sent before the block begins."""
        self._ports, self._users, self._items, self._seed = ports, users, items, seed
        self._run = uuid4().hex[:8]  # a home may be used again, and then these events are others
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self._threads = [
            threading.Thread(target=target, args=(number,), name=f"{target.__name__}-{number}")
            for target, count in ((self._send, N_SENDERS), (self._read, N_READERS))
            for number in range(count)
        ]
        self._token: str | None = None
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.tally = Tally()

    def __enter__(self) -> "SteadyLoad":
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End after the requests at hand."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def start_tally(self) -> Tally:
        """Count on a new page from now on; returns it."""
        with self._lock:
            self.tally = Tally()
            return self.tally

    def _send(self, number: int) -> None:
        dice = random.Random(f"{self._seed} sender {number}")
        ids = (f"fault-{self._run}-{number}-{count}" for count in itertools.count())
        with self._client() as client:
            batch, is_known = self._batch(dice, ids), False
            while not self._stopping.wait(PAUSE_SECONDS):
                if not self._post(client, dice, batch, is_known):
                    continue
                is_known = not is_known and dice.random() < REPEATED_SHARE
                batch = batch if is_known else self._batch(dice, ids)

    def _batch(self, dice: random.Random, ids: Any) -> list[dict[str, Any]]:
        return [
            {
                "event_id": next(ids),
                "event_type": dice.choice(["view", "click", "like", "purchase"]),
                "user_id": dice.choice(self._users) if dice.random() < 0.8 else f"new-{dice.randrange(500)}",
                "item_id": dice.choice(self._items),
            }
            for _ in range(dice.randint(1, 5))
        ]

    def _post(self, client: httpx.Client, dice: random.Random, batch: list[dict[str, Any]], is_known: bool) -> bool:
        """Send a batch once; true when it was acknowledged."""
        answer = self._ask(client, dice, "/v1/events", batch)
        if answer is None:
            return False
        body = answer.json()
        statuses = {result["status"] for result in body["results"]}
        wanted = {"duplicate"} if is_known else {"accepted", "duplicate"}
        with self._lock:
            if not statuses <= wanted:
                self.tally.wrong.append(f"{statuses} instead of {wanted}")
            self.acknowledged.update({event["event_id"]: event for event in batch})
            self._token = body["freshness_token"]
        return True

    def _read(self, number: int) -> None:
        dice = random.Random(f"{self._seed} reader {number}")
        with self._client() as client:
            while not self._stopping.wait(PAUSE_SECONDS):
                user = dice.choice(self._users)
                wanted = {"user_id": user, "min_freshness_token": self._token if dice.random() < 0.2 else None}
                answer = self._ask(client, dice, "/v1/recommendations", wanted)
                if answer is None:
                    continue
                body = answer.json()
                with self._lock:
                    self.tally.degraded.update(body["degraded"])
                    if not body["items"]:
                        self.tally.wrong.append(f"an empty list for {user}")

    def _ask(self, client: httpx.Client, dice: random.Random, path: str, body: Any) -> httpx.Response | None:
        """The answer if it is a good one; whatever it is, it is counted. Another port is tried where nobody answers."""
        answer = None
        for port in dice.sample(self._ports, len(self._ports)):
            try:
                answer = client.post(f"http://127.0.0.1:{port}{path}", json=body)
                break
            except httpx.TransportError:
                continue
        with self._lock:
            self.tally.n_requests += 1
            if answer is None:
                self.tally.n_unanswered += 1
            elif answer.is_success:
                self.tally.n_answered += 1
                return answer
            elif path == "/v1/events" and answer.status_code in REFUSALS and _is_problem(answer):
                self.tally.n_refused += 1
            else:
                self.tally.wrong.append(f"{path}: {answer.status_code} {answer.text[:200]}")
        return None

    def _client(self) -> httpx.Client:
        # A connection that a killed process left behind is not used again.
        return httpx.Client(timeout=TIMEOUT_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))


def _is_problem(answer: httpx.Response) -> bool:
    return (
        answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == answer.status_code
    )


def wait_for(is_so: Any, seconds: float) -> float:
    """Seconds until ``is_so()``. Raises TimeoutError."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > seconds:
            raise TimeoutError
        time.sleep(0.02)
    return time.monotonic() - began
