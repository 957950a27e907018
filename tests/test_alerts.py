"""Alerts arrive where people look: a line in the log, and a webhook, which is a real server here."""

import json
import subprocess
import sys

import pytest

from freshet.settings import PROJECT_ROOT
from tests.http_handler import Handler

# A process of its own: importing Airflow makes files and changes logging.
SEND = """
import json, logging, sys
from types import SimpleNamespace
from datetime import UTC, datetime
from dags.alerts import report_failure, report_late_run
logging.basicConfig(stream=sys.stderr, level=logging.DEBUG, format="%(message)s", force=True)
doc = "Make things.\\n\\n**When it fails:** look at the log,\\nand clear the task.\\n\\nMore."
if sys.argv[1] == "failure":
    report_failure({
        "ti": SimpleNamespace(
            dag_id="ingest_events", task_id="load_dataset", run_id="scheduled__1", try_number=3,
            log_url="http://127.0.0.1:8080/dags/ingest_events",
        ),
        "dag_run": SimpleNamespace(
            run_type="scheduled",
            data_interval_start=datetime(2026, 3, 9, 11, tzinfo=UTC),
            data_interval_end=datetime(2026, 3, 9, 12, tzinfo=UTC)
        ),
        "exception": OSError("No space left on device"),
        "dag": SimpleNamespace(doc_md=doc),
    })
else:
    report_late_run(60, doc, {
        "dag_run": {
            "dag_id": "build_marts", "dag_run_id": "asset__1", "run_type": "asset_triggered",
            "data_interval_start": None, "data_interval_end": None,
        },
        "deadline": {"id": "1", "deadline_time": datetime(2026, 3, 9, tzinfo=UTC)},
    })
"""


class Webhook(Handler):
    """Keeps what was posted, and answers with the server's status."""

    def do_POST(self):
        self.server.received.append(json.loads(self.body()))
        self.answer(self.server.status)


@pytest.fixture
def webhook(listen):
    server = listen(Webhook)
    server.received, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}/hooks/s3cret"
    return server


@pytest.fixture
def send(tmp_path, outside_environment):
    """Sends an alert as a callback would, and returns what was logged."""

    def alert(kind, url=""):
        environment = {
            **outside_environment,
            "FRESHET_HOME": str(tmp_path),
            "FRESHET_ALERT_WEBHOOK_URL": url,
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "PYTHONPATH": str(PROJECT_ROOT),
        }
        command = [sys.executable, "-c", SEND, kind]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
        )
        return done.stderr

    return alert


def alert_in(log):
    (line,) = [line for line in log.splitlines() if line.startswith("alert ")]
    return json.loads(line.removeprefix("alert "))


def test_without_a_webhook_an_alert_is_one_line_that_says_what_to_do(send):
    assert alert_in(send("failure")) == {
        "kind": "task_failed",
        "dag_id": "ingest_events",
        "task_id": "load_dataset",
        "run_id": "scheduled__1",
        "run_type": "scheduled",
        "interval_start": "2026-03-09T11:00:00+00:00",
        "interval_end": "2026-03-09T12:00:00+00:00",
        "try_number": 3,
        "error": "OSError: No space left on device",
        "log_url": "http://127.0.0.1:8080/dags/ingest_events",
        "what_to_do": "look at the log, and clear the task.",
    }


def test_a_webhook_gets_what_the_log_says_and_the_log_never_its_address(send, webhook):
    log = send("failure", webhook.url)
    assert webhook.received == [alert_in(log)]
    assert "s3cret" not in log


def test_a_late_run_says_how_late_and_what_to_look_at(send, webhook):
    send("late", webhook.url)
    (alert,) = webhook.received
    assert (alert["kind"], alert["dag_id"], alert["run_id"]) == ("run_late", "build_marts", "asset__1")
    assert alert["error"] == "not finished 60 minutes after it was queued"
    assert alert["what_to_do"].endswith("look at the log, and clear the task.")


def test_a_webhook_that_refuses_is_logged_by_its_status_alone(send, webhook):
    webhook.status = 404
    log = send("failure", webhook.url)
    assert "the alert webhook answered 404" in log
    assert "s3cret" not in log


def test_a_webhook_that_is_gone_disturbs_nothing(send, free_ports):
    log = send("failure", f"http://127.0.0.1:{free_ports(1)[0]}/hooks/s3cret")
    assert "the alert webhook cannot be reached: URLError" in log
    assert "s3cret" not in log
