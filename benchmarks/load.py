"""Requests at their own pace, whatever the server does: an open-loop load generator in a process of its own.

In open loop every request is due at a moment that was drawn beforehand (Poisson arrivals), and its latency counts
from that moment. A client that waits for one answer before it asks again would simply not ask while the server stands
still, and leave out just the requests that would have been slow (coordinated omission). Connections are limited: a
request that is due while all of them are busy waits its turn, and the wait counts.

It is our own, of plain sockets and one ``select``, because server and generator share the machine's two cores: a
request costs it some 30 µs, where httpx takes 500 and aiohttp 150, and ``select`` wakes to the microsecond where event
loops round their timers to milliseconds. Answers need a Content-Length.
"""

import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

CONNECTIONS = 32
_ANSWER_BYTES = 1 << 18
_GIVE_UP_SECONDS = 30.0
_IDLE_SECONDS = 2.0
"""A connection that was not used for longer is opened anew: servers close idle ones, uvicorn after 5 s."""


class LoadError(RuntimeError):
    """The server refused, closed or never answered: there is nothing to measure."""


@dataclass(frozen=True)
class Plan:
    """What to ask, whom, and how fast."""

    port: int
    requests: list[str]
    """Whole HTTP requests as ``get`` and ``post`` write them, asked in turn."""
    seconds: float
    rate: float | None = None
    """Requests per second, open loop; None: closed loop, every connection asks again as soon as it is answered."""
    connections: int = CONNECTIONS
    seed: int = 0
    first: int = 0
    """The request to begin with."""


@dataclass(frozen=True)
class Load:
    """What came of a plan. Latencies are in milliseconds, from the moment each request was due."""

    latencies_ms: NDArray[np.float64]
    late_ms: NDArray[np.float64]
    """How long after it was due, or after a connection was free for it, each request was sent: the generator's own."""
    elapsed: float

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.latencies_ms) / self.elapsed


def get(path: str) -> str:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(path: str, body: object) -> str:
    """A POST request with a JSON body."""
    text = json.dumps(body)  # ASCII, so that characters are bytes
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    return f"{head}\r\n\r\n{text}"


def run_load(plan: Plan) -> Load:
    """Carry a plan out in a process of its own. Raises LoadError when an answer is not 2xx."""
    child = start_load(plan)
    return finish_load(child)


def start_load(plan: Plan) -> "subprocess.Popen[str]":
    """Begin to carry a plan out beside something else."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    json.dump(asdict(plan), child.stdin)
    child.stdin.close()
    child.stdin = None
    return child


def finish_load(child: "subprocess.Popen[str]") -> Load:
    """Wait for what ``start_load`` began."""
    output, _ = child.communicate()
    if child.returncode != 0:
        raise LoadError(f"the load generator stopped: {output.strip() or 'see above'}")
    found = json.loads(output)
    return Load(np.array(found["latencies_us"]) / 1e3, np.array(found["late_us"]) / 1e3, found["elapsed"])


def arrivals(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Moments within ``seconds`` at which independent users ask, ``rate`` per second on average (Poisson)."""
    dice = np.random.default_rng(seed)
    n_drawn = int(rate * seconds + 10 * np.sqrt(rate * seconds) + 10)
    moments = np.cumsum(dice.exponential(1 / rate, n_drawn))
    return moments[moments < seconds]


def percentile(values: Sequence[float] | NDArray[np.float64], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed (nearest rank)."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return float(ordered[max(int(np.ceil(share * len(ordered) - 1e-9)), 1) - 1])


class _Connection:
    """One socket, at most one request on its way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.request = -1
        self._received = b""
        self._open()

    def _open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=_GIVE_UP_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._used_at = time.perf_counter()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, number: int, content: bytes) -> None:
        if time.perf_counter() - self._used_at > _IDLE_SECONDS:
            self.socket.close()
            self._open()
        self.request, self._received, self._used_at = number, b"", time.perf_counter()
        self.socket.sendall(content)

    def is_answered(self) -> bool:
        """Read what is there; true when the answer is whole. Raises LoadError when it is none that one waits for."""
        part = self.socket.recv(_ANSWER_BYTES)
        if not part:
            raise LoadError("the server closed the connection")
        self._received = self._received + part if self._received else part
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        head = self._received[:head_end].lower()
        if not head.startswith(b"http/1.1 2"):
            raise LoadError(f"the server answered {self._received[:500]!r}")
        at = head.find(b"content-length:")
        if at < 0:
            raise LoadError("the answer has no Content-Length")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        return len(self._received) >= head_end + 4 + length


def ask(plan: Plan) -> Load:
    """Carry a plan out in this process."""
    contents = [request.encode("latin-1") for request in plan.requests]
    connections = [_Connection(plan.port) for _ in range(plan.connections)]
    try:
        return _ask_open(plan, contents, connections) if plan.rate else _ask_closed(plan, contents, connections)
    finally:
        for connection in connections:
            connection.socket.close()


def _ask_open(plan: Plan, contents: list[bytes], connections: list[_Connection]) -> Load:
    assert plan.rate is not None
    due = arrivals(plan.rate, plan.seconds, plan.seed)
    began = time.perf_counter()
    done, late = np.zeros(len(due)), np.zeros(len(due))
    idle, busy = list(connections), set[_Connection]()
    waiting: deque[int] = deque()
    coming = n_done = 0
    free_since = 0.0
    while n_done < len(due):
        now = time.perf_counter() - began
        while coming < len(due) and due[coming] <= now:
            waiting.append(coming)
            coming += 1
        while waiting and idle:
            number, connection = waiting.popleft(), idle.pop()
            late[number] = time.perf_counter() - began - max(due[number], free_since)
            connection.send(number, contents[(plan.first + number) % len(contents)])
            busy.add(connection)
        now = time.perf_counter() - began
        timeout = max(due[coming] - now, 0) if coming < len(due) else _GIVE_UP_SECONDS
        answered, _, _ = select.select(busy, (), (), timeout)
        if not answered and coming == len(due):
            raise LoadError(f"no answer within {_GIVE_UP_SECONDS:.0f} s")
        was_full = not idle
        for connection in answered:
            if connection.is_answered():
                done[connection.request] = time.perf_counter() - began
                n_done += 1
                busy.remove(connection)
                idle.append(connection)
        if was_full and idle:
            free_since = time.perf_counter() - began
    return Load((done - due) * 1e3, late * 1e3, time.perf_counter() - began)


def _ask_closed(plan: Plan, contents: list[bytes], connections: list[_Connection]) -> Load:
    began = time.perf_counter()
    sent, latencies = dict[_Connection, float](), list[float]()
    number = plan.first
    for connection in connections:
        connection.send(number, contents[number % len(contents)])
        sent[connection], number = time.perf_counter(), number + 1
    while sent:
        answered, _, _ = select.select(sent, (), (), _GIVE_UP_SECONDS)
        if not answered:
            raise LoadError(f"no answer within {_GIVE_UP_SECONDS:.0f} s")
        for connection in answered:
            if not connection.is_answered():
                continue
            now = time.perf_counter()
            latencies.append((now - sent.pop(connection)) * 1e3)
            if now - began < plan.seconds:
                connection.send(number, contents[number % len(contents)])
                sent[connection], number = now, number + 1
    return Load(np.array(latencies), np.zeros(len(latencies)), time.perf_counter() - began)


def main() -> None:
    """Read a plan from standard input, and write what came of it to standard output."""
    plan = Plan(**json.load(sys.stdin))
    try:
        load = ask(plan)
    except (LoadError, OSError) as error:
        print(error)
        sys.exit(1)
    print(
        json.dumps(
            {
                "latencies_us": np.round(load.latencies_ms * 1e3).astype(int).tolist(),
                "late_us": np.round(load.late_ms * 1e3).astype(int).tolist(),
                "elapsed": load.elapsed,
            }
        )
    )


if __name__ == "__main__":
    main()
