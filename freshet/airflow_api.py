"""The few calls of Airflow's REST API that Freshet needs, as the admin whose password lies in this home."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from freshet.settings import Settings

PASSWORDS_FILE = "simple_auth_manager_passwords.json.generated"
USER = "admin"

CHAIN = ("ingest_events", "build_marts", "refresh_features", "retrain_recommender")
"""Each starts the next through an asset; `dags/assets.py` has their names."""

DAGS = (*CHAIN, "choose_champion", "clean_metadata", "search_hyperparameters")

SECONDS = 90
"""Longer than the minute for which SQLite waits for a lock: an answer, though an error, is better than none."""
_TRIES = 4


def airflow_password(settings: Settings) -> str:
    """The password that Airflow generated for its admin at its first start."""
    path = settings.airflow_dir / PASSWORDS_FILE
    password: str = json.loads(path.read_text())[USER]
    return password


@dataclass(frozen=True)
class TaskState:
    """One task of a run, as the API tells it."""

    task_id: str
    state: str | None
    seconds: float | None
    pool: str
    n_tries: int
    started_at: str | None
    ended_at: str | None


@dataclass(frozen=True)
class RunState:
    """One run of a DAG. ``state``: queued, running, success or failed."""

    run_id: str
    state: str
    seconds: float | None
    queued_at: datetime


class AirflowApi:
    """A small client of Airflow's REST API (/api/v2), logged in as the generated admin."""

    def __init__(self, settings: Settings, seconds: float = SECONDS) -> None:
        """``seconds`` is how long to wait for each answer."""
        self._settings = settings
        self._client = httpx.Client(base_url=settings.airflow_url, timeout=seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def is_ready(self) -> bool:
        """Whether the API answers and the scheduler and DAG processor have reported healthy."""
        try:
            health = self._client.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return False
        if health.status_code != httpx.codes.OK:
            return False
        body = health.json()
        return all(body[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))

    def log_in(self) -> None:
        """Exchange the generated password for a token, used from now on."""
        answer = self._client.post("/auth/token", json={"username": USER, "password": airflow_password(self._settings)})
        answer.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG processor has stored this DAG yet."""
        return self._client.get(f"/api/v2/dags/{dag_id}").status_code == httpx.codes.OK

    def parse_seconds(self) -> float:
        """How long the DAG processor last took for all files."""
        dags = self._get("/api/v2/dags", limit=100)["dags"]
        return sum(dag["last_parse_duration"] or 0.0 for dag in dags)

    def import_errors(self) -> list[str]:
        """Why DAG files could not be read, one text for each."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create a pool, or leave it as an operator has set it."""
        pool = {"name": name, "slots": slots, "description": description}
        answer = self._client.post("/api/v2/pools", json=pool)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler act on this DAG."""
        self._client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": False}).raise_for_status()

    def trigger(self, dag_id: str, **run: Any) -> str:
        """Start a run now, or the run that the API's own fields describe; returns its id.

        On SQLite Airflow sometimes locks itself out for a minute and answers with an error: the run has a name of ours,
        so it is asked for again, and one that was made all the same is not made twice.
        """
        run_id = str(run.get("dag_run_id") or f"manual__{datetime.now(UTC).isoformat()}")
        wanted = {"logical_date": None, **run, "dag_run_id": run_id}
        for _ in range(_TRIES):
            answer = self._client.post(f"/api/v2/dags/{dag_id}/dagRuns", json=wanted)
            if not answer.is_server_error:
                break
        if answer.status_code != httpx.codes.CONFLICT or self.run(dag_id, run_id) is None:
            answer.raise_for_status()
        return run_id

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Forget a run that an interrupted `freshet run` left unfinished."""
        self._client.delete(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").raise_for_status()

    def mark_failed(self, dag_id: str, run_id: str) -> None:
        """End a run, so that it may be deleted."""
        self._client.patch(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"}).raise_for_status()

    def clear_run(self, dag_id: str, run_id: str) -> bool:
        """Let a run be done again from its first task; False when the database was busy and one may ask again."""
        answer = self._client.post(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/clear", json={"dry_run": False})
        if answer.is_server_error:
            return False
        answer.raise_for_status()
        return True

    def newest_run_before(self, dag_id: str, moment: datetime) -> RunState | None:
        """The last of the runs that were queued before a moment, or None."""
        newest = self._runs(dag_id, order_by="-run_after", limit=10)
        return next((run for run in newest if run.queued_at < moment), None)

    def first_run_since(self, dag_id: str, moment: datetime) -> RunState | None:
        """The first run that was asked for at or after a moment, or None."""
        return next(iter(self._runs(dag_id, order_by="run_after", run_after_gte=moment.isoformat(), limit=1)), None)

    def run(self, dag_id: str, run_id: str) -> RunState | None:
        """The run of that name, or None."""
        answer = self._client.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return _run_state(answer.json())

    def runs(self, dag_id: str) -> list[RunState]:
        """The newest runs, the one that was asked for last first."""
        return self._runs(dag_id, order_by="-run_after", limit=100)

    def asset_events(self, uri: str) -> list[dict[str, Any]]:
        """What DAGs have said about an asset, newest first; ``extra`` holds the figures."""
        (asset,) = self._get("/api/v2/assets", uri_pattern=uri)["assets"]
        found = self._get("/api/v2/assets/events", asset_id=asset["id"], order_by="-timestamp", limit=100)
        events: list[dict[str, Any]] = found["asset_events"]
        return events

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """Every task of a run."""
        found = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
        return [
            TaskState(
                task["task_id"],
                task["state"],
                task["duration"],
                task["pool"],
                task["try_number"],
                task["start_date"],
                task["end_date"],
            )
            for task in found
        ]

    def _runs(self, dag_id: str, **choice: str | int) -> list[RunState]:
        return [_run_state(run) for run in self._get(f"/api/v2/dags/{dag_id}/dagRuns", **choice)["dag_runs"]]

    def _get(self, path: str, **params: Any) -> Any:
        answer = self._client.get(path, params=params)
        answer.raise_for_status()
        return answer.json()


def _run_state(run: Mapping[str, Any]) -> RunState:
    return RunState(run["dag_run_id"], run["state"], run["duration"], datetime.fromisoformat(run["queued_at"]))
