"""From an event to the answer that knows it, as OpenTelemetry spans; nothing at all unless a collector is named.

An event's acceptance and its folding happen in different threads at different times. The fold's span links to the spans
that accepted its events, and an answer's says how new the features were that it read.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from opentelemetry.trace import INVALID_SPAN, Link, NoOpTracer, Span, SpanContext, Tracer, get_current_span

Attributes = Mapping[str, str | int | float | bool]
_MAX_REMEMBERED: Final = 1_000
"""Accepted requests that a fold can still link to."""
_SEND_SECONDS: Final = 2.0
"""How long a collector may take for what it is sent; what it does not take is dropped."""


class Traces:
    """Makes spans, and remembers which span accepted which events of the log."""

    def __init__(self, tracer: Tracer, close: Callable[[], None] = lambda: None) -> None:
        """``tracer`` may be one that does nothing; ``close`` sends what still waits."""
        self._tracer, self.close = tracer, close
        self._accepted: OrderedDict[int, SpanContext] = OrderedDict()
        self._remembering = threading.Lock()

    def span(self, name: str, attributes: Attributes | None = None) -> AbstractContextManager[Span]:
        """What is done within it; spans that begin meanwhile in this thread are parts of it."""
        if isinstance(self._tracer, NoOpTracer):
            return nullcontext(INVALID_SPAN)
        return self._tracer.start_as_current_span(name, attributes=attributes)

    def accepted(self, newest: int) -> None:
        """The span at hand has brought the log up to this sequence."""
        context = get_current_span().get_span_context()
        if not context.is_valid:
            return
        with self._remembering:
            self._accepted[newest] = context
            while len(self._accepted) > _MAX_REMEMBERED:
                self._accepted.popitem(last=False)

    def fold(self, after: int, newest: int) -> AbstractContextManager[Span]:
        """The span of a round of the worker, linked to those that accepted its events."""
        with self._remembering:
            found = [self._accepted.pop(each) for each in list(self._accepted) if each <= newest]
        attributes: Attributes = {"freshet.log.after": after, "freshet.log.newest": newest}
        return self._tracer.start_as_current_span(
            "nearline fold", attributes=attributes, links=[Link(context) for context in found]
        )


NO_TRACES: Final = Traces(NoOpTracer())


def open_traces(endpoint: str | None) -> Traces:
    """Send spans to a collector (OTLP over HTTP), such as ``http://127.0.0.1:4318``; None: there are none."""
    if endpoint is None:
        return NO_TRACES
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "freshet"}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Traces(provider.get_tracer("freshet"), provider.shutdown)
