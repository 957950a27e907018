"""`freshet run`: the whole platform on this machine, from raw events to an endpoint that reacts to a click."""

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from commands import services
from commands.chain import ChainError, ChainRun, where_to_start
from commands.processes import ProcessError, Processes, only_run_in
from commands.reaction import click_and_look, print_reaction, typical_user
from freshet.airflow_api import DAGS, USER, AirflowApi, airflow_password
from freshet.settings import PREFIX, Settings, load_settings
from serving.api_keys import passing_key

SAMPLE_SECONDS = 3.0
"""Reading the memory of twenty processes costs more than asking Airflow, so it is done less often."""

START_SECONDS = 240.0
"""Slow disks and busy machines included; a process that dies is noticed at once."""


def register(app: typer.Typer) -> None:
    """Add ``freshet run`` to the command line."""

    @app.command()
    def run(
        dataset: Annotated[
            str, typer.Option(help="demo, movielens-small or another name in docs/data.md, or a path")
        ] = "",
        once: Annotated[bool, typer.Option("--once", help="Leave with exit code 0 after the click")] = False,
        windows_only: Annotated[bool, typer.Option("--windows-only", help="Start the windows, run no chain")] = False,
        batch_only: Annotated[
            bool, typer.Option("--batch-only", help="Start Airflow and MLflow alone, beside a `freshet serve`")
        ] = False,
    ) -> None:
        """Start everything, run the chain where it is not done yet, show a reaction to a click, stay until Ctrl-C."""
        if dataset:
            os.environ[PREFIX + "DATASET"] = str(Path(dataset).resolve()) if Path(dataset).exists() else dataset
        console = Console()
        if not console.is_terminal:
            console.width = 120  # a log has no width of its own, and 80 columns break titles and addresses
        signal.signal(signal.SIGTERM, _interrupt)
        platform = Platform(load_settings(), console)
        try:
            platform.run(once=once, runs_chain=not windows_only and not batch_only, with_api=not batch_only)
        except (ProcessError, ChainError) as error:
            console.print(f"[red]freshet:[/] {error}", highlight=False)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            console.print("stopped; the next `make run` goes on from here")
            raise typer.Exit(130 if once else 0) from None


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Platform:
    """One run: the processes, what they cost, and the windows they open."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._processes = Processes(settings.home)
        self._phases: list[tuple[str, float]] = []
        self._last_mark = time.monotonic()
        self._peak_bytes = 0
        self._last_sample = 0.0
        self._started_at = datetime.now(UTC)

    def run(self, *, once: bool, runs_chain: bool = True, with_api: bool = True) -> None:
        """Everything from the first migration to Ctrl-C. Raises ProcessError, ChainError."""
        with only_run_in(self._settings.home):
            if stopped := self._processes.stop_leftovers():
                self._console.print(f"stopped {stopped} processes that an earlier run had left behind")
            services.require_free_ports(self._settings, with_api)
            try:
                self._start(with_api)
                if runs_chain:
                    self._run_chain()
                    self._show_reaction()
                    self._print_costs()
                self._print_windows()
                while not once:
                    self._processes.check()
                    time.sleep(1)
            finally:
                # Even when nobody reads our output any more and printing fails.
                try:
                    self._console.print("stopping every process that was started …")
                finally:
                    self._processes.stop()

    def _start(self, with_api: bool) -> None:
        environment = services.child_environment(self._settings)
        with self._console.status("preparing the databases"):
            services.prepare(self._settings, environment)
        self._mark("prepare the databases")
        services.start(self._settings, self._processes, environment, with_api)
        with self._console.status("starting the servers"), AirflowApi(self._settings) as airflow:
            services.wait_for_airflow(airflow, self._processes, START_SECONDS)
        self._mark("start the services")

    def _run_chain(self) -> None:
        with AirflowApi(self._settings) as airflow:
            airflow.log_in()
            has_champion = _champion_version(self._settings) is not None
            first = where_to_start(airflow, self._started_at, has_champion)
            for dag_id in DAGS:
                airflow.unpause(dag_id)
            if first is None:
                self._console.print("the chain is done already: nothing to do again")
            else:
                for dag in ChainRun(airflow, self._console, self._watch).run(first):
                    self._phases.append((dag.dag_id, dag.seconds))
        self._last_mark = time.monotonic()
        champion = _champion_version(self._settings)
        if champion is None:
            raise ChainError("the chain ran, but no version became champion: MLflow tells the reason on the version")
        with self._console.status("waiting for the API to serve the champion"):
            services.wait_until(
                "the champion in the API",
                lambda: services.served_version(self._settings) == champion,
                START_SECONDS,
                self._processes,
            )
        self._mark("load the champion")

    def _show_reaction(self) -> None:
        user_id, url = typical_user(self._settings.features_dir), self._settings.api_url
        if self._settings.api_auth == "keys":
            with passing_key(self._settings.keys_path, "freshet run", ("events:write", "recommend:read")) as key:
                reaction = click_and_look(url, user_id, key)
        else:
            reaction = click_and_look(url, user_id)
        print_reaction(reaction, self._console)
        self._mark("click and look")

    def _watch(self) -> None:
        self._processes.check()
        if time.monotonic() - self._last_sample >= SAMPLE_SECONDS:
            self._peak_bytes = max(self._peak_bytes, self._processes.memory_bytes())
            self._last_sample = time.monotonic()

    def _mark(self, phase: str) -> None:
        now = time.monotonic()
        self._phases.append((phase, now - self._last_mark))
        self._last_mark = now

    def _print_costs(self) -> None:
        table = Table(title="Where the time went", title_justify="left", box=None, padding=(0, 2))
        table.add_column("phase")
        table.add_column("seconds", justify="right")
        for phase, seconds in self._phases:
            table.add_row(phase, f"{seconds:.1f}")
        table.add_row("[bold]in all", f"[bold]{sum(seconds for _, seconds in self._phases):.1f}")
        self._console.print(table)
        self._console.print(f"peak memory of all processes: {self._peak_bytes / 1e9:.2f} GB")

    def _print_windows(self) -> None:
        api, login = self._settings.api_url, f"{USER} / {airflow_password(self._settings)}"
        self._console.print("[bold]Your windows[/]")
        for name, url, note in (
            ("Front", f"{api}/", "the state of all of it"),
            ("Airflow", self._settings.airflow_url, f"login {login}"),
            ("MLflow", self._settings.mlflow_url, "models → freshet-recommender"),
            ("API", f"{api}/docs", "try GET /v1/users/{user_id}/recommendations"),
            ("Shop", f"{api}/shop", "be a user, click, search"),
            ("dbt docs", f"{api}/lineage/", "from a raw event to the model"),
        ):
            self._console.print(f"  {name:<9} {url:<33} {note}", soft_wrap=True, markup=False)


def _champion_version(settings: Settings) -> str | None:
    from training.registry import champion

    current = champion(settings.tracking_uri)
    return None if current is None else str(current.version)
