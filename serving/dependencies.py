"""What a route may ask for, as named types.

All are coroutines although none awaits: FastAPI would send each plain function to a thread, at .1 ms and more a hop.
"""

from typing import Annotated

from fastapi import Depends, Request

from serving.erasure import Erasure
from serving.event_forms import CLOUD_EVENT, CLOUD_EVENT_BATCH
from serving.items import Items
from serving.problems import ProblemError, is_json, unsupported_media_type
from serving.profiles import Profiles
from serving.recommender import Recommender
from serving.runtime import Runtime
from serving.search import Search
from serving.shown import ShownLists
from serving.similar import SimilarItemsFinder

EVENT_MEDIA_TYPES = ("application/json", CLOUD_EVENT, CLOUD_EVENT_BATCH)


async def get_runtime(request: Request) -> Runtime:
    """Everything that the lifespan opened."""
    runtime: Runtime = request.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]


async def get_recommender(request: Request) -> Recommender:
    """Ranks items for a user. Not by way of ``get_runtime``: each step takes FastAPI a hundredth of an answer."""
    runtime: Runtime = request.state.runtime
    return runtime.recommender


async def get_similar(runtime: RuntimeDep) -> SimilarItemsFinder:
    """Finds items beside an item."""
    return runtime.similar


async def get_profiles(runtime: RuntimeDep) -> Profiles:
    """Describes users."""
    return runtime.profiles


async def get_shown(runtime: RuntimeDep) -> ShownLists:
    """Remembers what was shown."""
    return runtime.shown


async def get_search(runtime: RuntimeDep) -> Search:
    """Finds items by words."""
    return runtime.search


async def get_items(runtime: RuntimeDep) -> Items:
    """Takes items in, and knows what is known of them."""
    return runtime.items


async def get_erasure(runtime: RuntimeDep) -> Erasure:
    """Forgets users."""
    return runtime.erasure


class EventBody:
    """The bytes of a request that brings events, and what they were announced as."""

    def __init__(self, content: bytes, media_type: str) -> None:
        """Read by ``get_event_body``."""
        self.content, self.media_type = content, media_type


async def get_event_body(request: Request) -> EventBody:
    """Read the body on the event loop; parsing it is left to a thread."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in EVENT_MEDIA_TYPES:
        raise ProblemError(415, unsupported_media_type(request, CLOUD_EVENT, CLOUD_EVENT_BATCH))
    return EventBody(await request.body(), media_type)


async def get_json_body(request: Request) -> bytes:
    """A body that was announced as JSON, read on the event loop; parsing it is left to a thread."""
    if not is_json(request.headers.get("content-type", "")):
        raise ProblemError(415, unsupported_media_type(request))
    return await request.body()


RecommenderDep = Annotated[Recommender, Depends(get_recommender)]
SimilarDep = Annotated[SimilarItemsFinder, Depends(get_similar)]
ProfilesDep = Annotated[Profiles, Depends(get_profiles)]
ShownDep = Annotated[ShownLists, Depends(get_shown)]
SearchDep = Annotated[Search, Depends(get_search)]
ItemsDep = Annotated[Items, Depends(get_items)]
ErasureDep = Annotated[Erasure, Depends(get_erasure)]
JsonBodyDep = Annotated[bytes, Depends(get_json_body)]
EventBodyDep = Annotated[EventBody, Depends(get_event_body)]
