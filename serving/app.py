"""Build the application: lifespan, middleware, routes, errors. No logic."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, TypedDict

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from freshet.settings import Settings
from serving.body_limit import BodyLimit
from serving.metrics import MeasureRequests, Metrics
from serving.problems import install_problem_handlers
from serving.protection import DOCS_SCRIPTS, RequireApiKey, SecurityHeaders, document_keys
from serving.routes import events, front, health, items, recommendations, users
from serving.routes.status import status_router
from serving.runtime import Runtime
from serving.scenarios import read_scenarios

_DESCRIPTION = """Post what users do, get what they are likely to want next.
The next request knows what happened a moment ago.
Errors are `application/problem+json` (RFC 9457) and say what to do; 429 and 503 say in `Retry-After` when to come back.
Where keys are on, send `Authorization: Bearer freshet_…`; each route names the scope that it needs."""


class State(TypedDict):
    """What the lifespan hands to every request."""

    runtime: Runtime


def create_app(settings: Settings) -> FastAPI:
    """The API of one home. Importing and building open nothing; the lifespan does. Raises SettingsError."""
    metrics, scenarios = Metrics(), read_scenarios(settings.scenarios)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        runtime = Runtime(settings, metrics, scenarios)
        runtime.start()
        try:
            yield {"runtime": runtime}
        finally:
            runtime.stop()

    # Its page at /docs is served by ourselves: FastAPI's own runs scripts from another host, and is blank without one.
    app = FastAPIOffline(
        redoc_url=None,
        static_url=DOCS_SCRIPTS,
        title="Freshet",
        version=version("freshet"),
        description=_DESCRIPTION,
        lifespan=lifespan,
    )
    # The last one added sees the request first: everything is measured, refusals too.
    app.add_middleware(BodyLimit)
    if settings.api_auth == "keys":
        app.add_middleware(RequireApiKey)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(MeasureRequests, metrics=metrics)
    install_problem_handlers(app)
    for part in (events, recommendations, items, users, health, front):
        app.include_router(part.router)
    app.include_router(front.lineage_router(settings.home / "dbt" / "target"))
    app.include_router(front.data_router(settings.lake_dir))
    app.include_router(status_router(settings))
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document_keys(describe())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to add to the document
