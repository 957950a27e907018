"""What comes in and what goes out over HTTP: separate shapes, every field described, unknown fields refused."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from freshet.contract import Identifier, SessionId, visitor_of
from serving.filters import ItemFilter
from serving.rules import MAX_LIST_LENGTH
from serving.scenarios import SCENARIOS, ScenarioName

MAX_EXCLUDED_ITEMS = 1_000
MAX_CONTEXT_ITEMS = 50
MAX_QUERY_LENGTH = 500

FreshnessToken = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]
QueryText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUERY_LENGTH, strip_whitespace=True)]
Source = Literal["model", "cold_start", "popular", "pinned", "cold_slot"]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class RequestContext(_In):
    """What surrounds the list."""

    item_ids: Annotated[list[Identifier], Field(max_length=MAX_CONTEXT_ITEMS)] = Field(
        default_factory=list, description="The item on the page, or what lies in the basket; never on the list itself"
    )


class RecommendationRequest(_In):
    """What to recommend to whom."""

    user_id: Identifier | None = Field(
        default=None, description="Any id; a user nobody has met gets a cold start, never an error"
    )
    session_id: SessionId | None = Field(
        default=None,
        description="In place of user_id: a visitor of whom only this is known, and whose events had no user_id either",
    )
    n: Annotated[int, Field(strict=True, ge=1, le=MAX_LIST_LENGTH, description="Length of the list")] = 10
    exclude_item_ids: Annotated[list[Identifier], Field(max_length=MAX_EXCLUDED_ITEMS)] = Field(
        default_factory=list, description="Items not to show, such as those already on the page"
    )
    min_freshness_token: FreshnessToken | None = Field(
        default=None, description="From POST /v1/events: the answer then reflects those events"
    )
    scenario: ScenarioName = Field(
        default="home",
        description="Where the list stands. home: nothing the user has met; similar and basket: what goes with"
        " context.item_ids, for this user; search: what suits the query first, then the user",
    )
    query: QueryText | None = Field(
        default=None,
        description="Plain words, which move the list towards them. Prices (“under 20”), what is not wanted (“not"
        " horror”) and what alone is (“only comedies”) are conditions",
    )
    context: RequestContext = Field(default_factory=RequestContext)
    filter: ItemFilter | None = Field(default=None, description="Which items are allowed")
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        default=0.0, description="0: by score alone; 1: each line as different from those above as can be"
    )

    @property
    def subject(self) -> str:
        """The user_id of whom the list is for."""
        return self.user_id if self.user_id is not None else visitor_of(self.session_id or "")

    @model_validator(mode="after")
    def _is_for_somebody(self) -> Self:
        if self.user_id is None and self.session_id is None:
            raise ValueError("user_id is missing: send it, or the session_id of a visitor who has none")
        if self.user_id is not None and self.session_id is not None:
            raise ValueError("user_id and session_id exclude each other: send the user_id of whoever has one")
        return self

    @model_validator(mode="after")
    def _suits_the_scenario(self) -> Self:
        scenario = SCENARIOS[self.scenario]
        if scenario.needs_items and not self.context.item_ids:
            raise ValueError(f"context.item_ids is empty: {self.scenario} is about some items, so name them")
        if scenario.needs_query and self.query is None:
            raise ValueError(f"query is missing: {self.scenario} is about some words")
        return self


class SearchRequest(_In):
    """What to look for, and for whom."""

    query: QueryText = Field(description="Plain words; prices and what is not wanted are conditions")
    n: Annotated[int, Field(strict=True, ge=1, le=MAX_LIST_LENGTH, description="Length of the list")] = 10
    user_id: Identifier | None = Field(default=None, description="Whose taste decides between what suits equally well")
    filter: ItemFilter | None = Field(default=None, description="Which items are allowed")


class RecommendationQuery(_In):
    """The short form's query parameters."""

    n: Annotated[int, Field(ge=1, le=MAX_LIST_LENGTH, description="Length of the list")] = 10
    exclude_item_ids: Annotated[list[Identifier], Field(max_length=MAX_EXCLUDED_ITEMS)] = Field(
        # No factory: FastAPI would look at its signature for every request, which is a tenth of an answer.
        default=[],
        description="Items not to show; repeat the parameter for several",
    )
    min_freshness_token: FreshnessToken | None = Field(default=None, description="From POST /v1/events")


class SimilarQuery(_In):
    """The query parameters of similar items."""

    n: Annotated[int, Field(ge=1, le=MAX_LIST_LENGTH, description="Length of the list")] = 10


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
