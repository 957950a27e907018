"""Tell people when a task has failed for good or a run is late: one structured line in the log, and a webhook if set.

Every DAG takes ``ALERTING`` into its ``default_args`` and a ``deadline``. What an alert says is enough to act on: which
task of which run, why, where its log is, and the paragraph of the DAG's page on what to do.
"""

import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback  # type: ignore[attr-defined]

logger = logging.getLogger(__name__)

WEBHOOK_TIMEOUT_SECONDS = 10
MAX_ERROR_LENGTH = 2_000


def report_failure(context: Mapping[str, Any]) -> None:
    """Callback of a task that has no retries left."""
    task, run, error = context["ti"], context["dag_run"], context.get("exception")
    send_alert(
        {
            "kind": "task_failed",
            "dag_id": task.dag_id,
            "task_id": task.task_id,
            "run_id": task.run_id,
            "run_type": str(getattr(run.run_type, "value", run.run_type)),
            "interval_start": _iso(run.data_interval_start),
            "interval_end": _iso(run.data_interval_end),
            "try_number": task.try_number,
            "error": f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH] if error else "",
            "log_url": getattr(task, "log_url", None),
            "what_to_do": what_to_do(context["dag"].doc_md),
        }
    )


def report_late_run(minutes: float, doc: str, context: Mapping[str, Any]) -> None:
    """Callback of a run that has not ended by its deadline; it goes on, nobody stops it."""
    run = context["dag_run"]
    send_alert(
        {
            "kind": "run_late",
            "dag_id": run["dag_id"],
            "run_id": run["dag_run_id"],
            "run_type": run["run_type"],
            "interval_start": run["data_interval_start"],
            "interval_end": run["data_interval_end"],
            "error": f"not finished {minutes:g} minutes after it was queued",
            "what_to_do": "Open the run in Airflow: a task that waits names its pool or its retry, one that works its "
            f"log. {what_to_do(doc)}",
        }
    )


def deadline(minutes: float, doc: str) -> DeadlineAlert:
    """An alert for runs that take longer than this from the moment they were queued."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        callback=SyncCallback(report_late_run, kwargs={"minutes": minutes, "doc": doc}),
        name="late",
    )


def send_alert(alert: Mapping[str, Any]) -> None:
    """Log an alert as one line of JSON and post it to the webhook, if the settings name one.

    A webhook that does not answer is logged without its address, which is a secret, and disturbs nothing else.
    """
    from freshet.settings import load_settings

    logger.error("alert %s", json.dumps(alert, ensure_ascii=False))
    webhook = load_settings().alert_webhook_url
    if webhook is not None:
        _post(str(webhook.get_secret_value()), json.dumps(alert).encode())


def _post(url: str, body: bytes) -> None:
    """Not with httpx, which logs every address that it asks."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 (the setting is http)
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT_SECONDS):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        logger.error("the alert webhook answered %s", error.code)
    except OSError as error:
        logger.error("the alert webhook cannot be reached: %s", type(error).__name__)


def what_to_do(doc: str | None) -> str:
    """The paragraph on failures of a DAG's page, as one line."""
    found = re.search(r"\*\*When it fails:\*\*(.*?)(\n\n|\Z)", doc or "", re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


ALERTING = {"on_failure_callback": report_failure}
