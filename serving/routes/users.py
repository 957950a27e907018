"""Single users: forgotten."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from freshet.contract import Identifier
from serving.dependencies import ErasureDep
from serving.examples import USER_ERASED, answered_with
from serving.problems import PROBLEM_RESPONSES
from serving.schemas import UserErased

router = APIRouter(prefix="/v1", tags=["users"], responses=PROBLEM_RESPONSES)

UserId = Annotated[Identifier, Path(description="As in the events", examples=["42"])]


@router.delete(
    "/users/{user_id:path}",
    status_code=status.HTTP_202_ACCEPTED,
    responses=answered_with(USER_ERASED, status.HTTP_202_ACCEPTED),
)
def erase_user(user_id: UserId, erasure: ErasureDep) -> UserErased:
    """Forget a user: to the next answer they are unknown, and the next batch leaves out all they did until now.

    The answer is the receipt, and means that it is durable. Events with the same id from now on are another user's.
    """
    return erasure.erase(user_id)
