"""The way in for live events."""

from typing import Final

from anyio import to_thread
from fastapi import APIRouter, Response, status

from serving.dependencies import EventBodyDep, RuntimeDep
from serving.examples import EVENT_REQUEST_BODY, EVENTS_ACCEPTED, answered_with
from serving.problems import PROBLEM_RESPONSES, ProblemError
from serving.schemas import EventsAccepted

MAX_WAITING: Final = 1_000
"""Requests that wait for a thread, beyond which further ones are refused at once: a queue without end ends badly."""

router = APIRouter(prefix="/v1", tags=["events"], responses=PROBLEM_RESPONSES)


@router.post(
    "/events",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=EventsAccepted,
    responses=answered_with(EVENTS_ACCEPTED, status.HTTP_202_ACCEPTED),
    openapi_extra={"requestBody": EVENT_REQUEST_BODY},
)
async def receive_events(body: EventBodyDep, runtime: RuntimeDep) -> Response:
    """Take one event, up to 1,000 of them, or CloudEvents. Accepted means durable; sent twice counts once.

    Each event gets its own result, so one wrong event in a list does not hold up the others. `event_id` and
    `occurred_at` may be left out; `received_at` is always this server's. A visitor without a `user_id` is known by
    their `session_id`. The names of GA4 and Segment are understood as event types.
    """
    limiter = runtime.event_threads
    if limiter.statistics().tasks_waiting >= MAX_WAITING:
        raise ProblemError(
            503, "the event log cannot keep up: send the same events again", headers={"retry-after": "1"}
        )
    accepted = await to_thread.run_sync(runtime.gateway.accept, body.content, body.media_type, limiter=limiter)
    # Written here: FastAPI would validate once more what was validated when it was made.
    return Response(accepted.model_dump_json(), status.HTTP_202_ACCEPTED, media_type="application/json")
