"""What goes out over HTTP, every field described; what comes in has shapes of its own (``serving/requests.py``)."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.blend import REGIMES

Source = Literal["model", "cold_start", "popular", "pinned", "cold_slot"]


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class HistoryTerm(_Out):
    """What one item of the user's history says."""

    item_id: str
    title: str | None
    term: float = Field(description="What it adds to raw_score")


class Contribution(_Out):
    """One part of a score."""

    part: str = Field(
        description="A head of the model (item_item, sequence, text, transitions, trend_…, own_history), query_meaning,"
        " query_name, or rules"
    )
    contribution: float = Field(description="What it adds to the score, which is the sum of all of these")
    raw_score: float | None = Field(
        description="The head's score before it is compared with those of all items and weighed: the sum of the terms"
        " of everything in the history. Null where a part is no such sum"
    )
    items: list[HistoryTerm] = Field(description="The items of the history with the largest terms, at most five")


class Explanation(_Out):
    """What a score is made of."""

    moment: str = Field(description=f"The kind of moment, by which the heads are weighed: {', '.join(REGIMES)}")
    gate: float = Field(
        description="a in P = a · recent + (1 − a) · long-term: what the current session counts in `item_item`"
    )
    contributions: list[Contribution] = Field(description="Those that count most first")


class RecommendedItem(_Out):
    """One line of the list."""

    item_id: str
    rank: int = Field(description="1 is the top")
    score: float | None = Field(description="Comparable within one list only; null for a line that a rule pinned")
    source: Source = Field(
        description="model: ranked for this user; cold_start: by the model without a history; popular: without a model;"
        " pinned: by a rule of the scenario; cold_slot: by the model, in a place kept for what hardly anybody knows"
    )
    reason: str = Field(description="The strongest cause of this line, as a sentence")
    propensity: float = Field(
        description="Probability with which the ranking policy shows this item here; 1.0, as nothing is drawn by chance"
    )
    title: str | None
    categories: list[str]
    explanation: Explanation | None = Field(
        default=None, description="Where the request says explain, and the model had a say in this line"
    )


class ModelRef(_Out):
    """The registered model version that ranked."""

    name: str
    version: str
    alias: str


class Understood(_Out):
    """A query as it was understood."""

    text: str = Field(description="What was looked for by its meaning and in names")
    min_price: float | None
    max_price: float | None
    without: list[str] = Field(description="Labels and words that nothing on the list has")
    only: list[str] = Field(description="Labels that everything on the list has")


class Recommendations(_Out):
    """A list, and all that is needed to trust it, join events to it and debug it."""

    recommendation_id: str = Field(description="Quote it in the events that answer to this list")
    user_id: str
    items: list[RecommendedItem]
    model: ModelRef | None = Field(description="Null when no champion is loaded")
    features_as_of: datetime | None = Field(description="The user's newest event known; null for a user nobody has met")
    degraded: list[str] = Field(description="Parts of the platform this answer had to do without")
    understood: Understood | None = Field(default=None, description="Of a query")
    took_ms: float


class ShownItem(_Out):
    """One line as it was shown. What an older version of Freshet did not note is null."""

    item_id: str
    rank: int
    score: float | None
    source: Source
    reason: str | None
    propensity: float
    title: str | None = Field(description="As the item is called now; null for one that was deleted")


class ShownRecommendations(_Out):
    """What one answer showed."""

    recommendation_id: str
    user_id: str
    shown_at: datetime
    model_version: str | None
    items: list[ShownItem]


class SearchResults(_Out):
    """What was found; with a user it is a list like others, and can be quoted."""

    recommendation_id: str | None
    user_id: str | None
    items: list[RecommendedItem]
    understood: Understood | None
    model: ModelRef | None
    degraded: list[str]
    took_ms: float


class SimilarItem(_Out):
    """One item beside another."""

    item_id: str
    rank: int
    score: float
    title: str | None
    categories: list[str]


class SimilarItems(_Out):
    """Items that go with an item."""

    item_id: str
    items: list[SimilarItem]
    model: ModelRef
    took_ms: float


class ItemDetails(_Out):
    """All that is known of an item."""

    item_id: str
    title: str | None
    description: str | None = None
    categories: list[str]
    tags: list[str] = Field(default_factory=list)
    price: float | None = None
    image_url: str | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)
    available_from: datetime | None = None
    is_available: bool
    updated_at: datetime | None = None


class ItemStored(ItemDetails):
    """An item that is durable from now on."""

    is_recommendable: bool = Field(
        description="The served model ranks it by now; if not, it will within a moment, or there is no model that can"
    )


class ItemDeleted(_Out):
    """An item that no answer shows any more."""

    item_id: str
    deleted_at: datetime


class UserErased(_Out):
    """The receipt for a user who is forgotten."""

    user_id: str
    erased_at: datetime = Field(description="What happened, or was received, until then counts no more")
    freshness_token: str = Field(description="Of the erasure, as an event has one")


class EventResult(_Out):
    """What became of one event."""

    index: int = Field(description="Its place in the request")
    event_id: str | None = Field(description="Yours, or the one we gave it")
    status: Literal["accepted", "duplicate", "rejected"]
    sequence: int | None = Field(default=None, description="Its place in the event log")
    reason: str | None = Field(default=None, description="Why it was rejected")


class EventsAccepted(_Out):
    """Acknowledged means durable: accepted events survive a crash of everything the next instant."""

    accepted: int
    duplicate: int
    rejected: int
    results: list[EventResult]
    freshness_token: str | None = Field(description="Pass it as min_freshness_token to see these events reflected")


class ProfileEvent(_Out):
    """One of the user's newest interactions."""

    event_id: str
    event_type: str
    item_id: str
    title: str | None
    value: float | None
    occurred_at: datetime


class CategoryShare(_Out):
    """A part of the user's recent interest."""

    category: str
    share: float


class Activity(_Out):
    """Counts from the daily batch, as of the last materialised day."""

    n_interactions_1d: int
    n_interactions_7d: int
    n_interactions_30d: int
    n_interactions_total: int
    n_active_days: int
    last_interaction_at: datetime | None


class Profile(_Out):
    """What the platform believes about a user, and from what."""

    user_id: str
    is_known: bool
    n_seen_items: int
    n_events_in_session: int = Field(description="Newest events without a pause of more than half an hour")
    interests: list[CategoryShare] = Field(description="Categories of the recent items, newer ones count more")
    disliked_item_ids: list[str]
    activity: Activity | None
    recent_events: list[ProfileEvent] = Field(description="Newest first")
    features_as_of: datetime | None
    degraded: list[str]


class Readiness(_Out):
    """Whether full answers are possible, and if not, what is missing."""

    ready: bool
    reasons: list[str] = Field(description="Each keeps full answers from being given")
    warnings: list[str] = Field(description="Not as it should be, but answers are whole")
    model: ModelRef | None
    nearline_position: int | None
    nearline_lag: int | None
