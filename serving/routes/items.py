"""Single items: put, asked for, deleted."""

from typing import Annotated

from fastapi import APIRouter, Path

from freshet.contract import Identifier
from serving.dependencies import ItemsDep, JsonBodyDep
from serving.examples import ITEM, ITEM_DELETED, ITEM_REQUEST_BODY, ITEM_STORED, answered_with
from serving.problems import PROBLEM_RESPONSES
from serving.schemas import ItemDeleted, ItemDetails, ItemStored

router = APIRouter(prefix="/v1", tags=["items"], responses=PROBLEM_RESPONSES)

ItemId = Annotated[Identifier, Path(description="As in the events", examples=["318"])]


@router.put(
    "/items/{item_id:path}", responses=answered_with(ITEM_STORED), openapi_extra={"requestBody": ITEM_REQUEST_BODY}
)
def put_item(item_id: ItemId, body: JsonBodyDep, items: ItemsDep) -> ItemStored:
    """Tell of a new item, or of one that has changed: the body replaces all that was known of it.

    The answer means that it is durable. An item that no training has met is read by the model's language model and
    ranked by its text from then on, usually before this answers; it is known to the next batch too.
    """
    return items.put(item_id, body)


@router.get("/items/{item_id:path}", responses=answered_with(ITEM))
def get_item(item_id: ItemId, items: ItemsDep) -> ItemDetails:
    """All that is known of an item. 404: it was never told of; 410: it was deleted."""
    return items.get(item_id)


@router.delete("/items/{item_id:path}", responses=answered_with(ITEM_DELETED))
def delete_item(item_id: ItemId, items: ItemsDep) -> ItemDeleted:
    """Hide an item everywhere from the next answer on, whoever told of it. 410: it was deleted before."""
    return items.delete(item_id)
