"""What is asked for over HTTP: every field described, unknown fields refused. Events and items are the contract's."""

from typing import Annotated, Self

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


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    explain: bool = Field(
        default=False, description="Say of every line what its score is made of, down to the items of the history"
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
