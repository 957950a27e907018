"""`freshet simulate`: days and weeks of a platform's life in minutes, through Airflow, and what grew meanwhile.

A simulated world is loaded up to some day; then one day after the other arrives in the live event log, and Airflow does
what it does every night: ingest, build the marts, refresh the features, retrain when it is due, forget old runs. What
that cost is measured after each day. Stopped at any moment, the same command goes on with the day it had not finished.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from commands import services
from commands.chain import ChainError, ChainRun
from commands.growth import Slope, database_size, slopes
from commands.processes import ProcessError, Processes, only_run_in, require_free_port
from freshet.airflow_api import CHAIN, DAGS, AirflowApi
from freshet.contract import Event
from freshet.settings import PREFIX, Settings, load_settings
from ingestion.datasets.demo import live_days
from ingestion.event_log import SqliteEventLog
from ingestion.ingest import world_config

START_SECONDS = 240.0
SETTLE_SECONDS = 600.0


def register(app: typer.Typer) -> None:
    """Add ``freshet simulate`` to the command line."""
    app.command("simulate")(simulate)


def simulate(
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Days that arrive one by one")] = 30,
    history: Annotated[int, typer.Option(min=1, help="Days that are there before")] = 14,
    users: Annotated[int, typer.Option(min=10, help="People in the world")] = 300,
    items: Annotated[int, typer.Option(min=50, help="Things in its catalogue")] = 400,
    events: Annotated[int, typer.Option(min=20, help="Events a day, approximately")] = 500,
    keep: Annotated[int, typer.Option(min=1, help="Days that Airflow remembers; the first ones are not judged")] = 7,
    retrain: Annotated[bool, typer.Option(help="Retrain where FRESHET_RETRAIN_SCHEDULE says so")] = True,
) -> None:
    """Live through simulated days in Airflow, one after the other, and say whether anything grows."""
    world = {
        "DATASET": "demo",
        "DEMO_USERS": users,
        "DEMO_ITEMS": items,
        "DEMO_DAYS": history + days,
        "DEMO_EVENTS": events * (history + days),
        "DEMO_LIVE_DAYS": days,
        "INGEST_SCHEDULE": "0 0 * * *",
    }
    os.environ.update({PREFIX + name: str(value) for name, value in world.items()})
    console = Console()
    if not console.is_terminal:
        console.width = 120
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        Simulation(load_settings(), console, keep_days=keep, is_retraining=retrain).run()
    except (ProcessError, ChainError) as error:
        console.print(f"[red]freshet:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        raise typer.Exit(130) from None


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass(frozen=True)
class Day:
    """What one simulated day cost, measured when nothing runs any more."""

    date: str
    began_at: str
    """By the clock on the wall, for the housekeeping of later days."""
    n_events: int
    seconds: float
    memory_mb: float
    open_files: int
    metadata_mb: float
    metadata_rows: int
    parse_seconds: float

    def figures(self) -> dict[str, float]:
        """What should stay as it is from day to day."""
        return {name: value for name, value in asdict(self).items() if name in UNITS}


UNITS = {
    "seconds": "s",
    "memory_mb": "MB",
    "open_files": "",
    "metadata_mb": "MB",
    "metadata_rows": "",
    "parse_seconds": "s",
}


class Simulation:
    """One passage through the simulated days, from the first that is not done."""

    def __init__(self, settings: Settings, console: Console, *, keep_days: int, is_retraining: bool) -> None:
        self._settings, self._console = settings, console
        self._keep_days, self._is_retraining = keep_days, is_retraining
        self._processes = Processes(settings.home)
        self._diary = settings.home / "simulate.jsonl"

    def run(self) -> None:
        """Everything from the first migration to the verdict. Raises ProcessError, ChainError."""
        with only_run_in(self._settings.home):
            self._processes.stop_leftovers()
            require_free_port(self._settings.airflow_port, PREFIX + "AIRFLOW_PORT")
            try:
                self._live()
            finally:
                self._processes.stop()
        _print_verdict(self._console, read_diary(self._diary), self._keep_days)

    def _live(self) -> None:
        environment = services.child_environment(self._settings)
        with self._console.status("preparing the databases and starting Airflow"):
            services.prepare(self._settings, environment)
            services.start_airflow(self._processes, environment)
        with AirflowApi(self._settings) as airflow:
            services.wait_for_airflow(airflow, self._processes, START_SECONDS)
            for dag_id in DAGS:
                if self._is_retraining or dag_id != CHAIN[-1]:
                    airflow.unpause(dag_id)
            self._console.print(_row("day", list(UNITS), n_events="events"), style="bold")
            done = {day.date for day in read_diary(self._diary)}
            for midnight, events in self._arrivals():
                if f"{midnight:%Y-%m-%d}" not in done:
                    self._live_day(airflow, midnight, events)

    def _arrivals(self) -> Iterator[tuple[datetime, list[Event]]]:
        """Each live day's midnight, and what arrives until the next."""
        config, n_live_days = world_config(self._settings), self._settings.demo_live_days
        first = config.start + timedelta(days=config.n_days - n_live_days)
        for number, rows in enumerate(live_days(config, n_live_days)):
            yield first + timedelta(days=number), [Event.model_validate(row) for row in rows]

    def _live_day(self, airflow: AirflowApi, midnight: datetime, events: list[Event]) -> None:
        began_at, began = datetime.now(UTC), time.monotonic()
        with closing(SqliteEventLog(self._settings.log_path)) as log:
            log.append(events)  # what an interrupted day had appended already is a duplicate
        self._run_chain(airflow, midnight)
        self._forget(airflow)
        self._settle(airflow)
        seconds = time.monotonic() - began
        n_bytes, n_rows = database_size(self._settings.airflow_dir / "airflow.db")
        day = Day(
            date=f"{midnight:%Y-%m-%d}",
            began_at=began_at.isoformat(),
            n_events=len(events),
            seconds=round(seconds, 1),
            memory_mb=round(self._processes.memory_bytes() / 1e6),
            open_files=self._processes.n_open_files(),
            metadata_mb=round(n_bytes / 1e6, 2),
            metadata_rows=n_rows,
            parse_seconds=round(airflow.parse_seconds(), 2),
        )
        with self._diary.open("a") as diary:
            diary.write(json.dumps(asdict(day)) + "\n")
        self._console.print(_row(day.date, [f"{value:,g}" for value in day.figures().values()], f"{day.n_events:,}"))

    def _run_chain(self, airflow: AirflowApi, midnight: datetime) -> None:
        """The nightly run of that day, as the scheduler would have made it, and all that follows from it."""
        run_id, end = f"simulated__{midnight:%Y-%m-%d}", midnight + timedelta(days=1)
        if (left := airflow.run(CHAIN[0], run_id)) is not None:
            if left.state in ("queued", "running"):
                airflow.mark_failed(CHAIN[0], run_id)
            airflow.delete_run(CHAIN[0], run_id)
        ChainRun(airflow, Console(quiet=True), self._processes.check).run(
            CHAIN[0],
            CHAIN[-1] if self._is_retraining else CHAIN[-2],
            dag_run_id=run_id,
            logical_date=midnight.isoformat(),
            data_interval_start=midnight.isoformat(),
            data_interval_end=end.isoformat(),
            run_after=end.isoformat(),
        )

    def _forget(self, airflow: AirflowApi) -> None:
        """Housekeeping, as on a machine that has really been running for so many days."""
        days = read_diary(self._diary)
        if len(days) >= self._keep_days:
            airflow.trigger("clean_metadata", conf={"before": days[-self._keep_days].began_at})

    def _settle(self, airflow: AirflowApi) -> None:
        """Until nothing runs or waits any more."""

        def is_quiet() -> bool:
            return not any(run.state in ("queued", "running") for dag_id in DAGS for run in airflow.runs(dag_id))

        services.wait_until("the end of the day's runs", is_quiet, SETTLE_SECONDS, self._processes)


def read_diary(path: Path) -> list[Day]:
    """The days that are done."""
    return [Day(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def _row(day: str, figures: list[str], n_events: str) -> str:
    return f"{day:<10} {n_events:>8}" + "".join(f" {figure:>15}" for figure in figures)


def _print_verdict(console: Console, days: list[Day], warm_up: int) -> None:
    found = slopes([day.figures() for day in days], warm_up)
    if not found:
        console.print(f"too few days to judge growth: {len(days)} done, of which the first {warm_up} are warming up")
        return
    table = Table(title=f"Growth a day, after the first {warm_up}", title_justify="left", box=None, padding=(0, 2))
    for column in ("figure", "a day", "95 % interval", "over all days"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for name, line in found.items():
        table.add_row(name, *_cells(line, UNITS[name]))
    console.print(table)
    grown = [name for name, line in found.items() if line.has_grown]
    console.print(f"[red]grew: {', '.join(grown)}" if grown else "[green]nothing grew")


def _cells(line: Slope, unit: str) -> tuple[str, str, str]:
    return f"{line.per_day:+.3g} {unit}", f"{line.low:+.3g} … {line.high:+.3g}", f"{100 * line.total:+.0f} %"
