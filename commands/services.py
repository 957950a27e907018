"""The services of one machine: what each needs in its environment, how it starts, and when it is up."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from pydantic import Secret

from commands.airflow import airflow_command, airflow_environment
from commands.processes import ProcessError, Processes, require_free_port
from freshet.airflow_api import DAGS, AirflowApi
from freshet.settings import PREFIX, Settings

POLL_SECONDS = 0.3

PREPARE_TRACKING = (
    "from freshet.settings import load_settings; from training.tracking import prepare_tracking; "
    "prepare_tracking(load_settings().tracking_uri)"
)

QUIET = {
    # Nothing is reported to anybody.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Background jobs of MLflow's evaluation product: four processes that Freshet has no use for.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "FEAST_USAGE": "False",
    # Two threads that spin on a busy two-core machine are ten times slower than two that sleep.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "TOKENIZERS_PARALLELISM": "false",
    # Git is asked for the commit where there is one; its absence is no news.
    "GIT_PYTHON_REFRESH": "quiet",
}


def child_environment(settings: Settings) -> dict[str, str]:
    """What every child process gets: our settings spelled out, Airflow's, and silence towards the outside."""
    ours = {
        PREFIX + name.upper(): _spelled(value)
        for name, value in settings.model_dump().items()
        if value is not None and value != ""
    }
    return {**ours, **airflow_environment(settings), **QUIET}


def _spelled(value: object) -> str:
    """A setting as it would be written in the environment."""
    if isinstance(value, Secret):
        return str(value.get_secret_value())
    return json.dumps(value) if isinstance(value, dict) else str(value)


def require_free_ports(settings: Settings, with_api: bool = True) -> None:
    """Raise ProcessError naming the first port that is taken, and the setting that moves it."""
    for name in (*(["api_port"] if with_api else []), "mlflow_port", "airflow_port"):
        require_free_port(getattr(settings, name), PREFIX + name.upper())


def prepare(settings: Settings, environment: dict[str, str]) -> None:
    """Migrate Airflow's and MLflow's databases and write dbt's manifest, once; a newer version does it again."""
    for folder in (settings.airflow_dir, settings.mlflow_dir, settings.lineage_dir, settings.home / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    steps = {
        "airflow-migrate": airflow_command("db", "migrate"),
        "mlflow-migrate": [sys.executable, "-c", PREPARE_TRACKING],
        "dbt-parse": [sys.executable, "-m", "freshet.dbt_project"],
    }
    running = []
    for name, command in steps.items():
        log = settings.home / "logs" / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=_merged(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        running.append((name, process, log))
    for name, process, log in running:
        if process.wait() != 0:
            raise ProcessError(f"{name} failed; the end of {log}:\n{_tail(log)}")


def start(settings: Settings, processes: Processes, environment: dict[str, str], with_api: bool = True) -> None:
    """Start Airflow, MLflow's UI and, unless it runs by itself, the API."""
    start_airflow(processes, environment)
    processes.start("mlflow", mlflow_command(settings), environment)
    if with_api:
        processes.start("api", [sys.executable, "-m", "commands.main", "serve"], environment)


def start_airflow(processes: Processes, environment: dict[str, str]) -> None:
    """Start Airflow's four processes."""
    processes.start("airflow-api-server", airflow_command("api-server"), environment)
    scheduler = [sys.executable, "-m", "freshet.airflow_scheduler", "scheduler", "--skip-serve-logs"]
    processes.start("airflow-scheduler", scheduler, environment)
    processes.start("airflow-dag-processor", airflow_command("dag-processor"), environment)
    processes.start("airflow-triggerer", airflow_command("triggerer", "--skip-serve-logs"), environment)


def wait_for_airflow(airflow: AirflowApi, processes: Processes, seconds: float) -> None:
    """Wait until Airflow is healthy and has read every DAG; logs in, and makes the writer's pool."""
    wait_until("Airflow", airflow.is_ready, seconds, processes)
    airflow.log_in()
    wait_until("the DAGs", lambda: _are_read(airflow), seconds, processes)
    airflow.ensure_pool("warehouse", 1, "DuckDB has one writer")


def _are_read(airflow: AirflowApi) -> bool:
    if errors := airflow.import_errors():
        raise ProcessError("a DAG cannot be read:\n" + "\n".join(errors))
    return all(airflow.has_dag(dag_id) for dag_id in DAGS)


def mlflow_command(settings: Settings) -> list[str]:
    """The command line of MLflow's UI over this home's runs and registry."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", settings.tracking_uri),
        *("--default-artifact-root", (settings.mlflow_dir / "artifacts").as_uri()),
        *("--host", "127.0.0.1", "--port", str(settings.mlflow_port), "--workers", "1"),
    ]


def wait_until(what: str, is_up: Callable[[], bool], seconds: float, processes: Processes) -> None:
    """Poll until ``is_up``; a process that dies meanwhile, or too long a wait, is a ProcessError."""
    for _ in _ticks(seconds):
        processes.check()
        if is_up():
            return
    raise ProcessError(f"{what} was not up after {seconds:.0f} s; see the logs in the home's logs/ folder")


def answers(url: str) -> bool:
    """Whether a GET answers with 200."""
    try:
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def served_version(settings: Settings) -> str | None:
    """The model version that the API answers with, or None while it has none."""
    try:
        ready = httpx.get(settings.api_url + "/readyz", timeout=5).json()
    except (httpx.TransportError, ValueError):
        return None
    model = ready.get("model") or {}
    version = model.get("version")
    return None if version is None else str(version)


def _ticks(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(POLL_SECONDS)


def _merged(environment: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **environment}


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:])
