"""What the front page asks for."""

from fastapi import APIRouter, Response

from freshet.settings import Settings
from serving.dependencies import RuntimeDep
from serving.status_board import StatusBoard


def status_router(settings: Settings) -> APIRouter:
    """The state of the platform whose home this is."""
    router, board = APIRouter(include_in_schema=False), StatusBoard(settings)

    @router.get("/status")
    async def status(runtime: RuntimeDep) -> Response:
        """What was seen last. 202: look again in a moment, somebody is looking; without a body it is the first look."""
        seen, is_new = board.newest(runtime)
        headers = {"cache-control": "no-store"}
        return Response(seen, status_code=200 if is_new else 202, media_type="application/json", headers=headers)

    return router
