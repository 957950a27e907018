"""Bytes become durable events, one result each, and the counts add up."""

import json

import pytest

from freshet.contract import MAX_EVENT_BYTES, MAX_EVENTS_PER_REQUEST
from ingestion.event_log import SqliteEventLog
from ingestion.live_rejects import SqliteRejects
from serving.event_gateway import EventGateway
from serving.metrics import Metrics
from serving.problems import ProblemError

JSON = "application/json"


@pytest.fixture
def gateway(tmp_path):
    log, rejects = SqliteEventLog(tmp_path / "events.db"), SqliteRejects(tmp_path / "rejects.db")
    yield EventGateway(log, rejects, Metrics(), lambda: None)
    log.close()
    rejects.close()


def view(number, **more):
    return {"event_id": f"e{number}", "event_type": "view", "user_id": "u1", "item_id": "i1", **more}


def send(gateway, payload):
    return gateway.accept(json.dumps(payload).encode(), JSON)


def test_a_list_gets_one_result_per_event(gateway):
    answer = send(gateway, [view(1), view(1), {"event_type": "stare"}, view(2)])
    assert [result.status for result in answer.results] == ["accepted", "duplicate", "rejected", "accepted"]
    assert (answer.accepted, answer.duplicate, answer.rejected) == (2, 1, 1)
    assert answer.freshness_token == str(gateway.log.last_sequence())


def test_nothing_that_arrived_is_lost(gateway):
    landed = [view(1), view(2), view(1), {"event_type": "stare", "user_id": "u1"}, 7]
    answer = send(gateway, landed)
    assert len(landed) == answer.accepted + answer.duplicate + answer.rejected
    assert len(gateway.log.read(0, 10)) == answer.accepted
    assert gateway.rejects.count() == answer.rejected


def test_a_duplicates_token_is_that_of_the_first(gateway):
    first = send(gateway, view(1))
    send(gateway, view(2))
    assert send(gateway, view(1)).freshness_token == first.freshness_token


def test_what_is_acknowledged_can_be_read_back(gateway):
    send(gateway, view(1, text="schön 🎬", properties={"a": [1, None, {"b": 2.5}]}))
    [(_, event)] = gateway.log.read(0, 10)
    assert (event.text, event.properties) == ("schön 🎬", {"a": [1, None, {"b": 2.5}]})


def test_one_event_that_cannot_be_used_is_a_problem_and_is_kept(gateway):
    with pytest.raises(ProblemError, match="the event cannot be used: user_id: Field required") as caught:
        send(gateway, {"event_type": "view", "item_id": "i1"})
    assert caught.value.status == 422
    assert gateway.rejects.count() == 1


def test_a_list_without_one_usable_event_is_a_problem_that_names_each(gateway):
    with pytest.raises(ProblemError) as caught:
        send(gateway, [{"event_type": "stare"}, 7])
    assert [problem.field for problem in caught.value.errors] == ["body.0", "body.1"]


def test_a_large_event_in_a_list_is_rejected_alone(gateway):
    answer = send(gateway, [view(1), view(2, properties={"blob": "x" * MAX_EVENT_BYTES})])
    assert [result.status for result in answer.results] == ["accepted", "rejected"]
    assert "the limit is 32,768" in answer.results[1].reason


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (view(1, properties={"blob": "x" * MAX_EVENT_BYTES}), 413),
        ([view(number) for number in range(MAX_EVENTS_PER_REQUEST + 1)], 413),
        ([], 422),
        ("view", 422),
        (None, 422),
    ],
)
def test_a_body_that_cannot_be_used_at_all_is_a_problem(gateway, payload, status):
    with pytest.raises(ProblemError) as caught:
        send(gateway, payload)
    assert caught.value.status == status


def test_the_largest_request_allowed_is_taken_whole(gateway):
    answer = send(gateway, [view(number) for number in range(MAX_EVENTS_PER_REQUEST)])
    assert answer.accepted == MAX_EVENTS_PER_REQUEST


def test_a_log_that_cannot_be_written_asks_for_the_events_again(gateway):
    gateway.log.close()
    with pytest.raises(ProblemError, match="send the same events again") as caught:
        send(gateway, view(1))
    assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "1"})


def test_a_full_disk_is_507_and_what_was_acknowledged_is_there(gateway):
    gateway.log._writer.execute("PRAGMA max_page_count = 40")  # SQLite's own limit, met as a disk without room is
    answers = []
    with pytest.raises(ProblemError, match="disk is full: send the same events again once it has room") as caught:
        for number in range(1_000):
            answers.append(send(gateway, view(number)))
    assert (caught.value.status, caught.value.headers) == (507, {"retry-after": "30"})
    assert len(gateway.log.read(0, 1_000)) == len(answers) > 0
