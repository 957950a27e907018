"""What stands before every route: headers that keep browsers careful, and keys with scopes and rates where they are on.

One table says which scope a path needs. What is not in it needs ``admin``, so a forgotten route is closed, not open.
"""

import base64
import binascii
import math
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api_keys import ApiKey
from serving.api_keys import Scope as KeyScope
from serving.problems import ProblemResponse, problem_response

DOCS_SCRIPTS: Final = "/docs-scripts"
"""Where the files of the page /docs lie."""
OPEN_PATHS: Final = frozenset(
    {
        *("/", "/front.js", "/shop", "/shop.js"),
        *("/docs", "/docs/oauth2-redirect", "/openapi.json", "/healthz", "/readyz"),
        *(f"{DOCS_SCRIPTS}/{name}" for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")),
    }
)
"""Pages without data, and what load balancers ask."""
# As they are sent, since every answer has them.
_EVERYWHERE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_ANSWERS: Final = (
    *_EVERYWHERE,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def required_scope(method: str, path: str) -> KeyScope | None:
    """What a key must be allowed to; None where no key is needed."""
    if path in OPEN_PATHS:
        return None
    if (method, path) == ("POST", "/v1/events"):
        return "events:write"
    if path.startswith("/v1/items/") and method in ("PUT", "DELETE"):
        return "items:write"
    is_question = (method, path) in {("POST", "/v1/recommendations"), ("POST", "/v1/search")}
    if is_question or (path.startswith("/v1/") and method in ("GET", "HEAD")):
        return "recommend:read"
    return "admin"


class SecurityHeaders:
    """ASGI middleware: no sniffing, no framing, no referrer, and answers of the API are nobody's to keep or to run."""

    def __init__(self, app: ASGIApp) -> None:
        """Nothing to set."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers, none of which a route sets itself but the policy of a page."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = _ANSWERS if scope["path"].startswith("/v1/") else _EVERYWHERE

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *wanted]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RateLimiter:
    """A bucket of tokens per key: as many as the key may send in a second, filled again as time goes by."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` tells seconds."""
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and when there were so many

    def wait_seconds(self, key: ApiKey) -> float:
        """Take a token and return 0, or how long it is until there is one."""
        now, size = self._clock(), max(1.0, key.requests_per_second)
        tokens, at = self._buckets.get(key.key_id, (size, now))
        tokens = min(size, tokens + (now - at) * key.requests_per_second)
        if tokens >= 1:
            self._buckets[key.key_id] = tokens - 1, now
            return 0.0
        self._buckets[key.key_id] = tokens, now
        return (1 - tokens) / key.requests_per_second


class RequireApiKey:
    """ASGI middleware: refuses before the body is read. Keys are looked up each time, so revoking is at once."""

    def __init__(self, app: ASGIApp) -> None:
        """The keys are the running application's (``state["runtime"].keys``)."""
        self._app, self._limiter = app, RateLimiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what a key allows."""
        needed = required_scope(scope["method"], scope["path"]) if scope["type"] == "http" else None
        refusal = None if needed is None else self._refusal(scope, needed)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: MutableMapping[str, Any], needed: KeyScope) -> ProblemResponse | None:
        path, sent = scope["path"], _sent_key(scope)
        key = scope["state"]["runtime"].keys.find(sent) if sent else None
        if key is None:
            what = "this is no key, or it was revoked" if sent else "a key is needed"
            # A browser asks a person for it: the key is the password, whatever the name.
            challenge = "Bearer" if path.startswith("/v1/") else "Basic"
            detail = f"{what}: send `Authorization: Bearer freshet_…`, made with `freshet keys create`"
            return problem_response(path, 401, detail, headers={"www-authenticate": f'{challenge} realm="Freshet"'})
        if not key.allows(needed):
            has = ", ".join(sorted(key.scopes))
            return problem_response(path, 403, f"this needs the scope {needed}, and key {key.key_id} has {has}")
        if wait := self._limiter.wait_seconds(key):
            detail = f"key {key.key_id} may send {key.requests_per_second:g} requests a second: wait, then try again"
            return problem_response(path, 429, detail, headers={"retry-after": str(math.ceil(wait))})
        return None


def _sent_key(scope: MutableMapping[str, Any]) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, credentials = value.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer":
                return str(credentials.strip())
            if scheme.lower() == "basic":
                return _password(credentials.strip())
    return None


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def document_keys(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with the scope that each route needs where keys are on."""
    described = "Made with `freshet keys create`; asked for where FRESHET_API_AUTH is keys"
    schema["components"]["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer", "description": described}}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            needed = required_scope(method.upper(), path)
            if needed is not None:
                operation["security"] = [{"apiKey": []}]
                operation["x-required-scope"] = needed
    return schema
