"""Spans as a collector receives them: from an event over its fold to the answer that knows it, and no user's name."""

import gzip
import shutil

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from nearline.tracing import NO_TRACES, open_traces
from serving.app import create_app
from tests.http_handler import Handler


class Collector(Handler):
    """Keeps the spans that are posted to it."""

    def do_POST(self):
        sent = self.body()
        if self.headers.get("Content-Encoding") == "gzip":
            sent = gzip.decompress(sent)
        self.server.received.append((self.path, ExportTraceServiceRequest.FromString(sent)))
        self.answer(200)


@pytest.fixture
def collector(listen):
    server = listen(Collector)
    server.received = []
    return server


def spans_of(collector):
    assert {path for path, _ in collector.received} == {"/v1/traces"}
    requests = [request for _, request in collector.received]
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def test_a_fold_is_linked_to_the_events_it_folds_and_an_answer_says_how_new_its_features_are(
    world, collector, eventually, tmp_path
):
    home = tmp_path / "home"  # of its own, so that no other application is the nearline worker
    shutil.copytree(world.settings.home, home)
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    settings = world.settings.model_copy(update={"home": home, "otlp_endpoint": endpoint})
    with TestClient(create_app(settings)) as api:
        assert eventually(lambda: api.get("/readyz").status_code == 200)
        event = {"event_type": "view", "user_id": "traced-user", "item_id": "sea-1"}
        token = api.post("/v1/events", json=event).json()["freshness_token"]
        answer = api.post("/v1/recommendations", json={"user_id": "traced-user", "min_freshness_token": token}).json()
    spans = spans_of(collector)
    (accepted,) = [span for span in spans if span.name == "accept events"]
    (fold,) = [span for span in spans if any(link.span_id == accepted.span_id for link in span.links)]
    assert fold.name == "nearline fold"
    assert [span.name for span in spans if span.parent_span_id == fold.span_id] == ["push features"]
    (recommend,) = [span for span in spans if span.name == "recommend"]
    parts = {span.name for span in spans if span.parent_span_id == recommend.span_id}
    assert parts == {"read features", "rank"}
    noted = {each.key: each.value.string_value for each in recommend.attributes}
    assert noted["freshet.recommendation_id"] == answer["recommendation_id"]
    assert noted["freshet.features_as_of"][:19].replace(" ", "T") == answer["features_as_of"][:19]
    assert "traced-user" not in str(spans)


def test_without_a_collector_there_are_no_spans():
    assert open_traces(None) is NO_TRACES
    with NO_TRACES.span("anything") as span:
        assert not span.is_recording()
