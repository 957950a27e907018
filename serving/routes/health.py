"""For machines that watch: is the process there, can it answer in full, how is it doing."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from serving.dependencies import RuntimeDep
from serving.schemas import Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=PlainTextResponse)
async def health() -> str:
    """The process is there."""
    return "ok\n"


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness, "description": "With reasons"}})
def ready(runtime: RuntimeDep) -> JSONResponse:
    """Whether answers are whole: 503 with reasons while a part is missing. Degraded answers are given even then."""
    readiness = runtime.readiness()
    return JSONResponse(readiness.model_dump(mode="json"), status_code=200 if readiness.ready else 503)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(runtime: RuntimeDep) -> Response:
    """Prometheus' text format."""
    runtime.measure()
    return Response(generate_latest(runtime.metrics.registry), media_type=CONTENT_TYPE_LATEST)
