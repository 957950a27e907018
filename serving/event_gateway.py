"""From the bytes of a request to durable events: parse, validate one by one, append, wake the worker."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from freshet.contract import MAX_EVENT_BYTES, MAX_EVENTS_PER_REQUEST, MAX_ID_LENGTH, Event
from ingestion.event_log import EventLog
from ingestion.live_rejects import Reject, SqliteRejects
from nearline.tracing import NO_TRACES, Traces
from serving.event_forms import CLOUD_EVENT, CLOUD_EVENT_BATCH, RejectedEventError, check_size, to_event
from serving.metrics import Metrics
from serving.problems import FieldProblem, ProblemError
from serving.schemas import EventResult, EventsAccepted
from serving.strict_json import parse_json
from serving.unwritable import unwritable


@dataclass(frozen=True)
class EventGateway:
    """The one way in for live events."""

    log: EventLog
    rejects: SqliteRejects
    metrics: Metrics
    wake_worker: Callable[[], None]
    traces: Traces = NO_TRACES

    def accept(self, body: bytes, media_type: str) -> EventsAccepted:
        """Store what can be used, durably, and say what became of each event. Raises ProblemError if nothing can."""
        with self.traces.span("accept events", {"freshet.body_bytes": len(body)}) as span:
            accepted = self._accept(body, media_type)
            span.set_attribute("freshet.accepted", accepted.accepted)
            if accepted.freshness_token is not None:
                self.traces.accepted(int(accepted.freshness_token))
        self.wake_worker()
        return accepted

    def _accept(self, body: bytes, media_type: str) -> EventsAccepted:
        received_at = datetime.now(UTC)
        raws, is_list = _split(parse_json(body), media_type, len(body))
        parsed = _parse(raws, received_at, is_cloud_event=media_type in (CLOUD_EVENT, CLOUD_EVENT_BATCH), body=body)
        results = self._store(raws, parsed, received_at)
        self._count(results)
        accepted = _summary(results)
        if accepted.rejected == len(results):
            raise _all_rejected(results, is_list=is_list)
        return accepted

    def _store(self, raws: list[Any], parsed: list[Event | str], received_at: datetime) -> list[EventResult]:
        events = [outcome for outcome in parsed if isinstance(outcome, Event)]
        rejects = [
            Reject(received_at, index, outcome, to_json(raws[index]).decode())
            for index, outcome in enumerate(parsed)
            if isinstance(outcome, str)
        ]
        try:
            # Rejects first: if the log fails, the sender repeats the request, and only a reject stands there twice.
            self.rejects.append(rejects)
            appended = iter(self.log.append(events))
        except sqlite3.Error as error:
            raise unwritable("the event log", error, "the same events") from error
        return [_result(index, outcome, raws, appended) for index, outcome in enumerate(parsed)]

    def _count(self, results: list[EventResult]) -> None:
        for result in results:
            self.metrics.events.labels(result.status).inc()


def _split(payload: Any, media_type: str, size: int) -> tuple[list[Any], bool]:
    """The single events in a request, and whether they came as a list."""
    if isinstance(payload, dict) and media_type != CLOUD_EVENT_BATCH:
        if size > MAX_EVENT_BYTES:
            raise ProblemError(413, f"the event has {size:,} bytes, and the limit is {MAX_EVENT_BYTES:,}")
        return [payload], False
    if not isinstance(payload, list) or media_type == CLOUD_EVENT:
        wanted = {CLOUD_EVENT: "one CloudEvent object", CLOUD_EVENT_BATCH: "a list of CloudEvents"}
        raise ProblemError(422, f"the body must be {wanted.get(media_type, 'an event object or a list of them')}")
    if not payload:
        raise ProblemError(422, "the list is empty: send at least one event")
    if len(payload) > MAX_EVENTS_PER_REQUEST:
        limit = f"{len(payload):,} events in one request, and the limit is {MAX_EVENTS_PER_REQUEST:,}"
        raise ProblemError(413, f"{limit}: send them in several requests")
    return payload, True


def _parse(raws: list[Any], received_at: datetime, *, is_cloud_event: bool, body: bytes) -> list[Event | str]:
    # Only a large body can hold a large event, so the sizes of the others need not be known.
    is_large = len(body) > MAX_EVENT_BYTES
    outcomes: list[Event | str] = []
    for raw in raws:
        try:
            if is_large:
                check_size(len(to_json(raw)))
            outcomes.append(to_event(raw, received_at, is_cloud_event=is_cloud_event))
        except RejectedEventError as error:
            outcomes.append(str(error))
    return outcomes


def _result(index: int, outcome: Event | str, raws: list[Any], appended: Any) -> EventResult:
    if isinstance(outcome, Event):
        stored = next(appended)
        return EventResult(index=index, event_id=outcome.event_id, status=stored.status, sequence=stored.sequence)
    sent_id = raws[index].get("event_id") if isinstance(raws[index], dict) else None
    shown_id = sent_id if isinstance(sent_id, str) and len(sent_id) <= MAX_ID_LENGTH else None
    return EventResult(index=index, event_id=shown_id, status="rejected", reason=outcome)


def _summary(results: list[EventResult]) -> EventsAccepted:
    statuses = [result.status for result in results]
    newest = max((result.sequence for result in results if result.sequence is not None), default=None)
    return EventsAccepted(
        accepted=statuses.count("accepted"),
        duplicate=statuses.count("duplicate"),
        rejected=statuses.count("rejected"),
        results=results,
        freshness_token=None if newest is None else str(newest),
    )


def _all_rejected(results: list[EventResult], *, is_list: bool) -> ProblemError:
    problems = [
        FieldProblem(field=f"body.{result.index}" if is_list else "body", message=result.reason or "")
        for result in results
    ]
    reasons = "none of the events can be used; the first" if is_list else "the event cannot be used"
    return ProblemError(422, f"{reasons}: {results[0].reason}", problems)
