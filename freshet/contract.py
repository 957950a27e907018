"""The language all stages share, version 1: what an event, an item and a user are.

The same classes validate a dataset's row, a line of a file and an HTTP request: a row is valid everywhere or nowhere.
Two clocks stand on every event: ``occurred_at`` (when it happened) and ``received_at`` (when we knew).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

CONTRACT_VERSION = 1

MAX_EVENTS_PER_REQUEST = 1_000
MAX_EVENT_BYTES = 32 * 1024
MAX_CLOCK_SKEW = timedelta(minutes=5)
"""How far ``occurred_at`` may lie after ``received_at``: clients' clocks are never quite right."""

SESSION_GAP = timedelta(minutes=30)
"""A pause longer than this ends a session, in the marts, in training and online."""

MAX_RECENT_EVENTS = 100
"""Interactions kept in a user's packed state, the newest by (occurred_at, event_id)."""

MAX_PROFILE_ENTRIES = 20
"""Categories, items and texts kept of each kind in a user's long-term profile."""

MAX_SESSION_ITEMS = 20
"""Items of a session that count as met together: a session of thousands is a crawl, and pairs cost their square."""

MAX_NEIGHBOUR_SESSIONS = 100_000
"""The newest sessions of all users, in which items find their neighbours: tastes move on, and cost must not grow."""

MAX_ITEM_NEIGHBOURS = 50
"""Items kept as neighbours of an item."""


class EventType(StrEnum):
    """What a user did. ``tag`` is the user's own words about an item; ``impression`` is what we showed.

    ``erasure`` ends a user: nothing that happened, or was received, until then counts any more. Who has the same id
    afterwards is another user.
    """

    VIEW = "view"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    PURCHASE = "purchase"
    RATING = "rating"
    LIKE = "like"
    DISLIKE = "dislike"
    HIDE = "hide"
    PLAY = "play"
    TAG = "tag"
    SEARCH = "search"
    IMPRESSION = "impression"
    ERASURE = "erasure"


INTERACTION_TYPES = frozenset(
    {
        EventType.VIEW,
        EventType.CLICK,
        EventType.ADD_TO_CART,
        EventType.PURCHASE,
        EventType.RATING,
        EventType.LIKE,
        EventType.DISLIKE,
        EventType.HIDE,
        EventType.PLAY,
    }
)
"""The user met the item: it counts as seen, and enters histories, popularity and training."""

NEGATIVE_TYPES = frozenset({EventType.DISLIKE, EventType.HIDE})
"""Types of which every event says that the user does not want the item."""


def is_negative(event_type: str, value: float | None) -> bool:
    """Seen, but no sign of interest: never a positive in training or scoring. So is a purchase that was given back."""
    return event_type in NEGATIVE_TYPES or (value is not None and value < 0 and event_type == EventType.PURCHASE)


EVENT_WEIGHTS: Mapping[EventType, float] = MappingProxyType(
    {
        EventType.VIEW: 1.0,
        EventType.CLICK: 1.0,
        EventType.PLAY: 2.0,
        EventType.RATING: 2.0,
        EventType.LIKE: 3.0,
        EventType.ADD_TO_CART: 3.0,
        EventType.PURCHASE: 5.0,
        EventType.DISLIKE: -3.0,
        EventType.HIDE: -3.0,
    }
)
"""How much an interaction says that the user wants such things, in views; a return takes back what the purchase gave.
The setting ``event_weights`` says otherwise for a domain of its own."""


EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Beyond these no moment is meant: a clock is broken, and so are libraries that count nanoseconds."""


def is_erased(event: "Event", erased_at: datetime | None) -> bool:
    """Whether the event is of the user that was erased at that moment, and not of whoever has the id now."""
    return erased_at is not None and min(event.occurred_at, event.received_at) <= erased_at


def visitor_of(session_id: str) -> str:
    """The user_id of whoever is known by this session alone."""
    return VISITOR + session_id


def _to_utc(moment: datetime) -> datetime:
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"{moment.isoformat()} is out of range: between the years {EARLIEST.year} and {LATEST.year}")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _none_to_empty(value: object) -> object:
    return [] if value is None else value


def _none_to_object(value: object) -> object:
    return {} if value is None else value


MAX_ID_LENGTH = 128
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_LENGTH, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
"""An id as its source writes it: printable, without blanks, at most 128 characters."""

VISITOR = "session:"
"""What the user_id of a visitor begins with who has told only a session_id: to all that follows they are a user."""
SessionId = Annotated[Identifier, StringConstraints(max_length=MAX_ID_LENGTH - len(VISITOR))]
"""A session_id that can name a visitor."""

UtcDatetime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
Text = Annotated[str, StringConstraints(max_length=8_192)]
JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(_none_to_object)]
Labels = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]],
    Field(max_length=256),
    BeforeValidator(_none_to_empty),
]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(_Record):
    """One thing that happened. ``event_id`` is the idempotency key everywhere, for ever."""

    event_id: Identifier
    event_type: EventType
    user_id: Identifier
    item_id: Identifier | None = None
    occurred_at: UtcDatetime
    received_at: UtcDatetime
    value: FiniteFloat | None = Field(
        default=None, description="Stars of a rating, pieces of a purchase (below zero: of a return), seconds …"
    )
    text: Text | None = Field(default=None, description="The user's words: review, search query, tag")
    session_id: Identifier | None = None
    recommendation_id: Identifier | None = Field(default=None, description="The answer that this event responds to")
    properties: JsonObject = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.item_id is None and self.event_type not in (EventType.SEARCH, EventType.ERASURE):
            raise ValueError(f"item_id is missing: only a search has none, and this is a {self.event_type}")
        if self.event_type in (EventType.SEARCH, EventType.TAG) and not self.text:
            raise ValueError(f"text is missing: a {self.event_type} is the user's words")
        if self.occurred_at - self.received_at > MAX_CLOCK_SKEW:
            raise ValueError(
                f"occurred_at {self.occurred_at.isoformat()} lies more than {MAX_CLOCK_SKEW} after "
                f"received_at {self.received_at.isoformat()}: check the sender's clock and time zone"
            )
        return self


class Item(_Record):
    """One thing that can be recommended, as known at ``updated_at``."""

    item_id: Identifier
    title: Annotated[str, StringConstraints(min_length=1, max_length=1_024, strip_whitespace=True)]
    description: Annotated[str, StringConstraints(max_length=32_768)] | None = None
    categories: Labels = Field(default_factory=list)
    tags: Labels = Field(default_factory=list)
    price: Annotated[FiniteFloat, Field(ge=0)] | None = None
    image_url: Annotated[str, StringConstraints(max_length=2_048)] | None = None
    attributes: JsonObject = Field(default_factory=dict)
    available_from: UtcDatetime | None = None
    is_available: bool = True
    updated_at: UtcDatetime


class User(_Record):
    """One person, as far as declared; what they did stands in the events."""

    user_id: Identifier
    attributes: JsonObject = Field(default_factory=dict)
    created_at: UtcDatetime | None = None
