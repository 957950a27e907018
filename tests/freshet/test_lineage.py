import json
import shutil
import threading
from http.server import HTTPServer

import pytest

from freshet.lineage import KEPT_FILES, Parent, emit_build, events_path, rotate
from freshet.settings import Settings
from tests.http_handler import Handler


@pytest.fixture
def settings(built_home, tmp_path, monkeypatch):
    shutil.copytree(built_home / "dbt", tmp_path / "dbt")
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    return Settings(home=tmp_path)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(datasets):
    return {dataset["name"] for dataset in datasets}


def test_a_build_tells_what_each_model_read_and_wrote(settings):
    n_events = emit_build(settings, Parent("0190b1f2-0000-7000-8000-000000000000", "build_marts.report_build"))
    events = lines(events_path(settings))
    assert len(events) == n_events > 0
    (sessions,) = [
        event
        for event in events
        if event["eventType"] == "COMPLETE"
        and names(event["outputs"]) == {"warehouse.main.fct_interactions"}
        and event["job"]["name"].endswith("build.run")
    ]
    assert any(name.startswith("warehouse.main.int_") for name in names(sessions["inputs"]))
    assert sessions["job"]["namespace"] == "freshet"
    assert sessions["run"]["facets"]["parent"]["job"]["name"] == "build_marts.report_build"


def test_a_full_file_is_put_aside_and_the_oldest_forgotten(settings):
    for number in range(KEPT_FILES + 3):
        rotate(settings, max_bytes=1)
        events_path(settings).write_text(f"{number}\n")
    kept = {path.name: path.read_text() for path in settings.lineage_dir.iterdir()}
    assert kept == {"events.jsonl": "5\n", "events.1.jsonl": "4\n", "events.2.jsonl": "3\n", "events.3.jsonl": "2\n"}


def test_a_file_that_is_not_full_is_left_alone(settings):
    rotate(settings)
    events_path(settings).write_text("one\n")
    rotate(settings)
    assert events_path(settings).read_text() == "one\n"


class Catalogue(Handler):
    """A server that takes lineage events."""

    def do_POST(self):
        self.server.received.append(json.loads(self.body()))
        self.answer(200)


def test_a_server_gets_the_events_where_one_is_set(settings):
    with HTTPServer(("127.0.0.1", 0), Catalogue) as server:
        server.received = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = Settings(home=settings.home, openlineage_url=f"http://127.0.0.1:{server.server_port}")
        n_events = emit_build(address)
        server.shutdown()
        thread.join()
    assert len(server.received) == n_events > 0
    assert not events_path(settings).exists()
