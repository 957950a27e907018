"""Lists for users, items beside items, and what is known about a user."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query, Response
from fastapi.concurrency import run_in_threadpool

from freshet.contract import Identifier
from serving.dependencies import ItemsDep, ProfilesDep, RecommenderDep, SearchDep, ShownDep, SimilarDep
from serving.examples import (
    PROFILE,
    RECOMMENDATION_REQUESTS,
    RECOMMENDATIONS,
    SEARCH_REQUESTS,
    SEARCH_RESULTS,
    SHOWN_RECOMMENDATIONS,
    SIMILAR_ITEMS,
    answered_with,
)
from serving.problems import PROBLEM_RESPONSES, ProblemError
from serving.recommender import Recommender, UnknownTokenError
from serving.requests import RecommendationQuery, RecommendationRequest, SearchRequest, SimilarQuery
from serving.scenarios import Scenarios
from serving.schemas import (
    Profile,
    Recommendations,
    SearchResults,
    ShownRecommendations,
    SimilarItems,
)
from serving.similar import NoModelError, UnknownItemError
from serving.wishes import Wish

router = APIRouter(prefix="/v1", tags=["recommendations"], responses=PROBLEM_RESPONSES)

UserId = Annotated[Identifier, Path(description="As in the events", examples=["42"])]
ItemId = Annotated[Identifier, Path(description="As in the events", examples=["318"])]
RecommendationId = Annotated[UUID, Path(description="From an answer")]
SearchBody = Annotated[SearchRequest, Body(openapi_examples=SEARCH_REQUESTS)]
RequestBody = Annotated[RecommendationRequest, Body(openapi_examples=RECOMMENDATION_REQUESTS)]


@router.post("/recommendations", response_model=Recommendations, responses=answered_with(RECOMMENDATIONS))
async def recommend(request: RequestBody, recommender: RecommenderDep) -> Response:
    """The items this user is most likely to want next; a user nobody has met gets a cold start.

    A visitor without a `user_id` is named by their `session_id`, here and in their events; `user_id` in the answer
    says by which name the platform knows them.
    """
    return await _recommend(recommender, request.subject, request, wish_of(request, recommender.scenarios))


@router.get("/recommendations/{recommendation_id}", responses=answered_with(SHOWN_RECOMMENDATIONS))
def shown_recommendations(recommendation_id: RecommendationId, lists: ShownDep) -> ShownRecommendations:
    """What an answer showed, from the event log: for ever, whatever has become of the model and the items."""
    return lists.shown(recommendation_id)


@router.get(
    "/users/{user_id:path}/recommendations", response_model=Recommendations, responses=answered_with(RECOMMENDATIONS)
)
async def recommend_to_user(
    user_id: UserId, query: Annotated[RecommendationQuery, Query()], recommender: RecommenderDep
) -> Response:
    """The short form of POST /v1/recommendations."""
    return await _recommend(recommender, user_id, query, Wish(recommender.scenarios["home"]))


async def _recommend(
    recommender: Recommender,
    user_id: str,
    wanted: RecommendationRequest | RecommendationQuery,
    wish: Wish,
) -> Response:
    token = wanted.min_freshness_token
    ask = partial(recommender.recommend, user_id, wanted.n, wanted.exclude_item_ids, token, wish)
    try:
        # An answer is a fraction of a millisecond of work that a thread of its own would only interrupt; waiting for
        # events, reading a query and explaining are another matter.
        waits = wish.query is not None or wish.explain or recommender.has_to_wait(token)
        answer = await run_in_threadpool(ask) if waits else ask()
    except UnknownTokenError as error:
        raise ProblemError(422, str(error)) from None
    # Written here, because FastAPI would send it to a second thread to be validated once more.
    return Response(answer.model_dump_json(), media_type="application/json")


@router.post("/search", responses=answered_with(SEARCH_RESULTS))
def search(request: SearchBody, finder: SearchDep) -> SearchResults:
    """The items that suit these words, by their meaning and by their names; a user's taste decides between equals.

    "scary films under 20, not zombies" is understood as it is meant; `understood` says what was made of it.
    """
    return finder.search(request.query, request.n, request.user_id, request.filter)


def wish_of(request: RecommendationRequest, scenarios: Scenarios) -> Wish:
    """What is asked for beside the user."""
    return Wish(
        scenario=scenarios[request.scenario],
        query=request.query,
        item_filter=request.filter,
        diversity=request.diversity,
        with_item_ids=tuple(request.context.item_ids),
        explain=request.explain,
    )


@router.get("/items/{item_id:path}/similar", responses=answered_with(SIMILAR_ITEMS))
def similar_items(
    item_id: ItemId, query: Annotated[SimilarQuery, Query()], finder: SimilarDep, items: ItemsDep
) -> SimilarItems:
    """Items that go with this one, for everybody alike."""
    items.check_is_there(item_id)
    try:
        return finder.similar(item_id, query.n)
    except UnknownItemError as error:
        raise ProblemError(404, f"{error}: check the id, or wait for the next training") from None
    except NoModelError as error:
        raise ProblemError(503, str(error), headers={"retry-after": "5"}) from None


@router.get("/users/{user_id:path}/profile", responses=answered_with(PROFILE))
def profile(user_id: UserId, profiles: ProfilesDep) -> Profile:
    """What the platform believes about this user, and from which events."""
    return profiles.profile(user_id)
