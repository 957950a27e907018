"""The load generator's arithmetic, worked by hand, and against a server that stands still."""

import socketserver
import threading
import time

import numpy as np
import pytest

from benchmarks.load import LoadError, Plan, arrivals, ask, get, percentile, post

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server(socketserver.ThreadingTCPServer):
    """Answers each request on a connection in turn; the first one only after a while."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, pause=0.0, answer=ANSWER):
        self.pause, self.answer, self.n_requests, self.lock = pause, answer, 0, threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(65_536):
            with self.server.lock:
                is_first, self.server.n_requests = self.server.n_requests == 0, self.server.n_requests + 1
            time.sleep(self.server.pause if is_first else 0)
            for byte in (self.server.answer[:20], self.server.answer[20:]):  # an answer may come in parts
                self.request.sendall(byte)


@pytest.fixture
def serving():
    servers = []

    def start(**options):
        server = Server(**options)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_percentile_is_the_smallest_value_that_covers_the_share():
    hundred = np.arange(100, 0, -1)
    assert percentile(hundred, 0.99) == 99
    assert percentile(hundred, 0.5) == 50
    assert percentile([7.0], 0.99) == 7
    assert percentile([1, 2, 3, 4], 0.25) == 1
    assert percentile([1, 2, 3, 4], 0.26) == 2


def test_arrivals_are_ascending_within_the_time_and_about_as_many_as_asked_for():
    moments = arrivals(rate=1_000, seconds=4, seed=1)
    assert (np.diff(moments) > 0).all()
    assert 0 < moments[0] < moments[-1] < 4
    assert abs(len(moments) - 4_000) < 5 * np.sqrt(4_000)
    assert np.array_equal(moments, arrivals(rate=1_000, seconds=4, seed=1))


def test_requests_that_wait_behind_a_slow_one_count_their_waiting(serving):
    # One connection, and its first answer takes .5 s: whoever was due meanwhile waited for the rest of it.
    server = serving(pause=0.5)
    load = ask(Plan(server.server_address[1], [get("/")], seconds=1.0, rate=100, connections=1, seed=2))
    due = arrivals(100, 1.0, 2)
    waited = load.latencies_ms[due < due[0] + 0.5]
    assert len(waited) > 25
    assert np.all(waited >= (due[0] + 0.5 - due[due < due[0] + 0.5]) * 1e3 - 1e-3)


def test_in_closed_loop_the_slow_answer_is_one_among_others(serving):
    server = serving(pause=0.3)
    load = ask(Plan(server.server_address[1], [get("/")], seconds=0.6, connections=1))
    assert (load.latencies_ms > 290).sum() == 1  # two processes' clocks: .3 s of the one may be .2999 of the other
    assert len(load.latencies_ms) == server.n_requests
    assert load.per_second == pytest.approx(len(load.latencies_ms) / load.elapsed)


def test_every_request_is_asked_in_turn(serving):
    server = serving()
    load = ask(Plan(server.server_address[1], [get("/"), post("/x", {"a": "é"})], seconds=0.2, rate=200, connections=4))
    assert len(load.latencies_ms) == server.n_requests == len(arrivals(200, 0.2, 0))
    assert load.latencies_ms.min() > 0


def test_an_answer_that_is_no_success_stops_the_measurement(serving):
    server = serving(answer=b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(LoadError, match="503"):
        ask(Plan(server.server_address[1], [get("/")], seconds=0.2, rate=50))
