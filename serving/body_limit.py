"""No request body grows beyond its limit in memory: it is refused while it streams in."""

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import problem_response

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Of one request, whatever it holds."""


class BodyLimit:
    """ASGI middleware: 413 as soon as a body is announced, or turns out, to be too large."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        """``max_bytes`` holds for every route."""
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._announced(scope) > self._max_bytes:
            response = problem_response(scope["path"], 413, self._sentence(), headers={"connection": "close"})
            await response(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    @staticmethod
    def _announced(scope: Scope) -> int:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        return int(length) if length.isdigit() and len(length) < 20 else 0

    def _counted(self, receive: Receive) -> Receive:
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._sentence(), headers={"connection": "close"})
            return message

        return receive_counted

    def _sentence(self) -> str:
        return f"the body is larger than {self._max_bytes:,} bytes: send it in several requests"
