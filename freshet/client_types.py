"""What the API takes and answers, as types of plain dictionaries; a test compares them with ``serving/schemas.py``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict


class NewEvent(TypedDict):
    """What is sent; moments are datetimes with a zone, or ISO 8601."""

    event_type: str
    user_id: NotRequired[str]
    item_id: NotRequired[str]
    event_id: NotRequired[str]
    occurred_at: NotRequired[datetime | str]
    value: NotRequired[float]
    text: NotRequired[str]
    session_id: NotRequired[str]
    recommendation_id: NotRequired[str]
    properties: NotRequired[Mapping[str, Any]]


class EventResult(TypedDict):
    """What became of one event."""

    index: int
    event_id: str | None
    status: str
    sequence: int | None
    reason: str | None


class EventsAccepted(TypedDict):
    """What became of all that were sent; ``accepted`` and ``duplicate`` ones are durable."""

    accepted: int
    duplicate: int
    rejected: int
    results: list[EventResult]
    freshness_token: str | None


class ModelRef(TypedDict):
    """The registered version that ranked."""

    name: str
    version: str
    alias: str


class Understood(TypedDict):
    """A query as it was understood."""

    text: str
    min_price: float | None
    max_price: float | None
    without: list[str]
    only: list[str]


class HistoryTerm(TypedDict):
    """What one item of the user's history says."""

    item_id: str
    title: str | None
    term: float


class Contribution(TypedDict):
    """One part of a score."""

    part: str
    contribution: float
    raw_score: float | None
    items: list[HistoryTerm]


class Explanation(TypedDict):
    """What a score is made of; ``gate`` is what the current session counts beside what was before it."""

    moment: str
    gate: float
    contributions: list[Contribution]


class RecommendedItem(TypedDict):
    """One line of a list; ``rank`` 1 is the top."""

    item_id: str
    rank: int
    score: float | None
    source: str
    reason: str
    propensity: float
    title: str | None
    categories: list[str]
    explanation: Explanation | None


class Recommendations(TypedDict):
    """A list; events that answer to it quote its ``recommendation_id``."""

    recommendation_id: str
    user_id: str
    items: list[RecommendedItem]
    model: ModelRef | None
    features_as_of: str | None
    degraded: list[str]
    understood: Understood | None
    took_ms: float


class SearchResults(TypedDict):
    """What was found."""

    recommendation_id: str | None
    user_id: str | None
    items: list[RecommendedItem]
    understood: Understood | None
    model: ModelRef | None
    degraded: list[str]
    took_ms: float


class SimilarItem(TypedDict):
    """One item beside another."""

    item_id: str
    rank: int
    score: float
    title: str | None
    categories: list[str]


class SimilarItems(TypedDict):
    """Items that go with an item."""

    item_id: str
    items: list[SimilarItem]
    model: ModelRef
    took_ms: float


class ItemDetails(TypedDict):
    """All that is known of an item."""

    item_id: str
    title: str | None
    description: str | None
    categories: list[str]
    tags: list[str]
    price: float | None
    image_url: str | None
    attributes: dict[str, Any]
    available_from: str | None
    is_available: bool
    updated_at: str | None


class ItemStored(ItemDetails):
    """An item that is durable from now on."""

    is_recommendable: bool


class ItemDeleted(TypedDict):
    """An item that no answer shows any more."""

    item_id: str
    deleted_at: str


class UserErased(TypedDict):
    """The receipt for a user who is forgotten."""

    user_id: str
    erased_at: str
    freshness_token: str
