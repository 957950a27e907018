"""Watch Airflow run the chain, and find out where an interrupted one goes on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from freshet.airflow_api import CHAIN, AirflowApi, TaskState

POLL_SECONDS = 1.0
HANDOVER_SECONDS = 20.0
"""How long the scheduler may take to start a DAG after the asset it waits for."""


class ChainError(RuntimeError):
    """A DAG failed or never started; the message names it and where its logs lie."""


@dataclass
class DagProgress:
    """What is known of one DAG of the chain during this run."""

    dag_id: str
    state: str = "waiting"
    run_id: str = ""
    tasks: list[TaskState] = field(default_factory=list)
    seconds: float = 0.0


def where_to_start(api: AirflowApi, started_at: datetime, has_champion: bool) -> str | None:
    """The first DAG of the chain that has not succeeded yet, or None when everything is done.

    A run that an interruption left queued or running is ended and forgotten: its work is a transaction, and starts
    anew. A run that was queued after ``started_at``, when this Airflow was started, is the schedule at work and left
    alone.
    """
    for dag_id in CHAIN:
        newest = api.newest_run_before(dag_id, started_at)
        if newest is not None and newest.state in ("queued", "running"):
            api.mark_failed(dag_id, newest.run_id)
            api.delete_run(dag_id, newest.run_id)
            return dag_id
        if newest is None or newest.state != "success":
            return dag_id
    return None if has_champion else CHAIN[-1]


class ChainRun:
    """One passage through the chain, from the DAG it starts with to the last."""

    def __init__(self, api: AirflowApi, console: Console, check: Callable[[], None]) -> None:
        self._api = api
        self._console = console
        self._check = check
        self._began = time.monotonic()

    def run(self, first: str, last: str = CHAIN[-1], **run: Any) -> list[DagProgress]:
        """Trigger ``first``, follow the assets to ``last``, and return each DAG's progress. Raises ChainError.

        ``run`` describes the first run where it is not simply one of now, in the words of Airflow's API.
        """
        todo = CHAIN[CHAIN.index(first) : CHAIN.index(last) + 1]
        progress = [DagProgress(dag_id) for dag_id in todo]
        asked_at = datetime.now(UTC)
        progress[0].run_id = self._api.trigger(first, **run)
        if self._console.is_terminal:
            with Live(console=self._console, refresh_per_second=4) as live:
                self._follow(progress, asked_at, lambda: live.update(self._table(progress)))
        else:
            self._follow(progress, asked_at, _LinePrinter(self._console, progress, self._began))
        return progress

    def _follow(self, progress: list[DagProgress], asked_at: datetime, show: Callable[[], None]) -> None:
        for index, dag in enumerate(progress):
            waiting_since = time.monotonic()
            while dag.state != "success":
                self._check()
                self._update(dag, asked_at)
                show()
                if dag.state == "failed":
                    raise ChainError(self._explain(dag))
                if dag.state == "waiting" and time.monotonic() - waiting_since > HANDOVER_SECONDS:
                    # The asset event was consumed before an interruption, or nothing changed: start it ourselves.
                    self._api.trigger(dag.dag_id)
                    waiting_since = time.monotonic()
                if dag.state != "success":
                    time.sleep(POLL_SECONDS)
            if index + 1 < len(progress):
                show()

    def _update(self, dag: DagProgress, asked_at: datetime) -> None:
        is_known = bool(dag.run_id)
        run = self._api.run(dag.dag_id, dag.run_id) if is_known else self._api.first_run_since(dag.dag_id, asked_at)
        if run is None:
            return
        dag.run_id, dag.state = run.run_id, run.state
        dag.tasks = self._api.tasks(dag.dag_id, run.run_id)
        dag.seconds = run.seconds or 0.0

    def _explain(self, dag: DagProgress) -> str:
        failed = [task.task_id for task in dag.tasks if task.state == "failed"]
        return (
            f"{dag.dag_id} failed in {', '.join(failed) or 'no task'} (run {dag.run_id}); "
            f"its log is in the Airflow UI and under airflow/logs; mend the cause and run again: it goes on from there"
        )

    def _table(self, progress: list[DagProgress]) -> Group:
        table = Table(box=None, padding=(0, 2))
        for column in ("DAG", "state", "task", "tasks done"):
            table.add_column(column)
        for dag in progress:
            table.add_row(dag.dag_id, _STYLE.get(dag.state, dag.state), ", ".join(_busy(dag)), _done(dag))
        elapsed = time.monotonic() - self._began
        return Group(table, Spinner("dots", text=f"{elapsed:.0f} s"))


_STYLE = {"success": "[green]done[/]", "running": "[yellow]running[/]", "failed": "[red]failed[/]"}


def _busy(dag: DagProgress) -> list[str]:
    return [task.task_id for task in dag.tasks if task.state in ("running", "deferred", "up_for_retry")][:2]


def _done(dag: DagProgress) -> str:
    finished = sum(task.state in ("success", "skipped") for task in dag.tasks)
    return f"{finished}/{len(dag.tasks)}" if dag.tasks else ""


class _LinePrinter:
    """For logs and pipes: one line whenever a DAG's state or its busy tasks change."""

    def __init__(self, console: Console, progress: list[DagProgress], began: float) -> None:
        self._console, self._progress, self._began = console, progress, began
        self._last: dict[str, str] = {}

    def __call__(self) -> None:
        for dag in self._progress:
            line = f"{dag.dag_id}: {dag.state} {_done(dag)} {', '.join(_busy(dag))}".rstrip()
            if dag.state != "waiting" and self._last.get(dag.dag_id) != line:
                self._last[dag.dag_id] = line
                self._console.print(
                    f"[{time.monotonic() - self._began:5.0f} s] {line}", markup=False, highlight=False, soft_wrap=True
                )
