"""What an operator watches, in Prometheus' words, and the middleware that measures every request."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.schemas import ModelRef

# Feast, once imported, makes prometheus_client keep its values in files for many processes; this is one process.
values.ValueClass = values.MutexValue

_LATENCY_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """All metrics of one application, in a registry of its own, so that tests may build many applications."""

    def __init__(self) -> None:
        """Every series starts at zero."""
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "freshet_http_requests", "Requests answered", ["route", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "freshet_http_request_seconds",
            "Time to answer a request",
            ["route"],
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.events = Counter(
            "freshet_events", "Events received, by what became of them", ["status"], registry=registry
        )
        self.fallbacks = Counter(
            "freshet_degraded_answers", "Answers given without a part of the platform", ["missing"], registry=registry
        )
        self.lists = Counter("freshet_lists", "Lists, by whether they had to be made", ["origin"], registry=registry)
        self.impressions = Counter(
            "freshet_impressions", "Shown items, by whether they reached the event log", ["outcome"], registry=registry
        )
        self.model = Gauge(
            "freshet_model_info", "The model version that answers", ["name", "version", "alias"], registry=registry
        )
        self.model_loads = Counter("freshet_model_loads", "Champions loaded or refused", ["outcome"], registry=registry)
        self.worker_lag = Gauge("freshet_nearline_lag_events", "Events logged but not yet visible", registry=registry)
        self.worker_running = Gauge("freshet_nearline_running", "1 while the worker thread lives", registry=registry)
        self.items = Gauge("freshet_catalogue_items", "Items known to serving", registry=registry)
        self._answering: ModelRef | None = None
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def note_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count and time one request; its series are looked up once."""
        series = self._series.get((route, method, status))
        if series is None:
            series = self.requests.labels(route, method, str(status)), self.request_seconds.labels(route)
            self._series[route, method, status] = series
        count, duration = series
        count.inc()
        duration.observe(seconds)

    def note_model(self, model: ModelRef) -> None:
        """From now on this version answers; the one before it stands at 0."""
        if self._answering is not None:
            self._set_model(self._answering, 0)
        self._set_model(model, 1)
        self._answering = model

    def _set_model(self, model: ModelRef, value: int) -> None:
        self.model.labels(model.name, model.version, model.alias).set(value)


class MeasureRequests:
    """ASGI middleware: counts and times requests by route template, never by path, so that series stay few."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """``metrics`` is the application's."""
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure from the first byte of the request's head to the end of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path_format", "(none)")
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            self._metrics.note_request(route, method, status, time.perf_counter() - started)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
