"""The way in for live events."""

from fastapi import APIRouter, status

from serving.dependencies import EventBodyDep, EventGatewayDep
from serving.examples import EVENT_REQUEST_BODY, EVENTS_ACCEPTED, answered_with
from serving.problems import PROBLEM_RESPONSES
from serving.schemas import EventsAccepted

router = APIRouter(prefix="/v1", tags=["events"], responses=PROBLEM_RESPONSES)


@router.post(
    "/events",
    status_code=status.HTTP_202_ACCEPTED,
    responses=answered_with(EVENTS_ACCEPTED, status.HTTP_202_ACCEPTED),
    openapi_extra={"requestBody": EVENT_REQUEST_BODY},
)
def receive_events(body: EventBodyDep, gateway: EventGatewayDep) -> EventsAccepted:
    """Take one event, up to 1,000 of them, or CloudEvents. Accepted means durable; sent twice counts once.

    Each event gets its own result, so one wrong event in a list does not hold up the others. `event_id` and
    `occurred_at` may be left out; `received_at` is always this server's. The names of GA4 and Segment are understood
    as event types.
    """
    return gateway.accept(body.content, body.media_type)
