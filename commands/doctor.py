"""``freshet doctor``: what is not as it should be, and how to mend it."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from commands.preflight import OLDEST
from freshet.settings import PREFIX, PROJECT_ROOT, Settings, load_settings

if TYPE_CHECKING:
    from serving.platform_status import PlatformStatus

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}
LITTLE_SPACE, NO_SPACE = 5 * 10**9, 10**9
"""Bytes: a training of MovieLens-small writes less than one gigabyte, and Airflow's logs grow."""
MAX_NAMED = 5


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do about it."""

    name: str
    level: Literal["ok", "warning", "problem"]
    found: str
    mend: str = ""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects, for programs.")] = False,
) -> None:
    """Look at the installation, the home, the servers, the champion and the data. Exit code 1 if there is a problem."""
    settings, console = load_settings(), Console()
    with Console(stderr=True).status("looking"):
        checks = list(examine(settings))
    if as_json:
        console.print_json(json.dumps([asdict(check) for check in checks]))
    else:
        table = Table.grid(padding=(0, 2))
        for check in checks:
            mend = f"\n[bold]→[/] {escape(check.mend)}" if check.mend else ""
            colour = COLOURS[check.level]
            table.add_row(f"[{colour}]{check.level}[/]", check.name, escape(check.found) + mend)
        console.print(table, highlight=False)
    if any(check.level == "problem" for check in checks):
        sys.exit(1)


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, from the ground up."""
    from serving.platform_status import platform_status

    yield _python()
    yield _packages(PROJECT_ROOT / "constraints.txt")
    yield _permission(settings.home)
    yield _space(settings.home)
    status = platform_status(settings)
    yield from _servers(status)
    yield from _readiness(status)
    yield from _runs(status)
    yield _champion(settings, status)
    yield from _data(status)


def _python() -> Check:
    found = "{}.{}.{}".format(*sys.version_info)
    if sys.version_info[:2] < OLDEST:
        return Check("Python", "problem", f"{found} is too old", "make setup PYTHON=python3.11, or a newer one")
    return Check("Python", "ok", found)


def _packages(constraints: Path) -> Check:
    """Whether what is installed is what was tested together."""
    if not constraints.exists():
        return Check(
            "packages",
            "warning",
            f"{constraints} is missing, so nobody knows",
            "install from a clone of the repository",
        )
    pins = [line.split("==") for line in constraints.read_text().splitlines() if "==" in line]
    installed = {name: found for name, _ in pins if (found := _installed(name))}
    others = [f"{name} {installed[name]} ({pin})" for name, pin in pins if installed.get(name, pin) != pin]
    if others:
        more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
        return Check(
            "packages",
            "warning",
            f"not as tested together: {', '.join(others[:MAX_NAMED])}{more}",
            "rm -r .venv && make setup",
        )
    return Check("packages", "ok", f"{len(installed)} as in constraints.txt")


def _installed(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]  # torch 2.13.0+cpu is torch 2.13.0
    except PackageNotFoundError:
        return None


def _permission(home: Path) -> Check:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return Check("home", "ok", f"{home.resolve()} can be written")
    except OSError as error:
        return Check(
            "home",
            "problem",
            f"{home} cannot be written: {error.strerror}",
            f"give it to this user, or set {PREFIX}HOME",
        )


def _space(home: Path) -> Check:
    existing = next(folder for folder in (home, *home.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB free"
    mend = f"free some space, or move the home and set {PREFIX}HOME; {PREFIX}METADATA_RETENTION_DAYS keeps fewer logs"
    if free < NO_SPACE:
        return Check("disk", "problem", found, mend)
    return Check("disk", "warning", found, mend) if free < LITTLE_SPACE else Check("disk", "ok", found)


def _servers(status: "PlatformStatus") -> Iterator[Check]:
    for service in status.services:
        setting = f"{PREFIX}{service.name.upper()}_PORT"
        if service.state == "answers":
            yield Check(service.name, "ok", f"answers on {service.url}")
        elif service.state == "silent":
            yield Check(service.name, "warning", f"nothing answers on {service.url}", "make ui")
        else:
            yield Check(
                service.name,
                "problem",
                f"something else answers on {service.url}",
                f"stop it, or set another port with {setting}",
            )


def _readiness(status: "PlatformStatus") -> Iterator[Check]:
    """What the API says of itself."""
    from serving.platform_status import ANSWER_SECONDS, API

    service = status.service(API)
    if service.state != "answers":
        return
    try:
        ready = httpx.get(f"{service.url}/readyz", timeout=ANSWER_SECONDS).json()
    except httpx.TransportError as error:
        yield Check("answers", "warning", f"the API fell silent: {error}", "ask again; see logs/api.log")
        return
    faults = [*ready["reasons"], *ready["warnings"]]
    if faults:
        yield Check("answers", "warning", "; ".join(faults), "see docs/guides/operate.md")
    else:
        yield Check("answers", "ok", f"whole, by model version {ready['model']['version']}")


def _runs(status: "PlatformStatus") -> Iterator[Check]:
    """What Airflow last did."""
    if status.airflow_fault and status.dag_runs:
        yield Check("DAGs", "problem", status.airflow_fault, "restart Airflow: make ui")
    failed = [run for run in status.dag_runs if run.state == "failed"]
    for run in failed:
        yield Check(run.dag_id, "problem", "its newest run has failed", f"see {run.url}, mend it and clear the run")
    if status.dag_runs and not failed:
        yield Check("DAGs", "ok", "no newest run has failed")


def _champion(settings: Settings, status: "PlatformStatus") -> Check:
    from serving.champion import registry_errors
    from training import registry
    from training.bundle import BundleError

    if status.champion is None:
        return Check("champion", "warning", "none: popular items are recommended", status.champion_fault or "")
    name = f"version {status.champion.version}"
    try:
        registry.download(registry.get_version(settings.tracking_uri, status.champion.version), settings.models_dir)
    except BundleError as error:
        return Check("champion", "problem", f"{name}: {error}", "freshet rollback, then train anew")
    except registry_errors() as error:
        return Check("champion", "problem", f"{name} cannot be fetched: {error}", "restore mlflow/ from the backup")
    return Check("champion", "ok", f"{name}, every file of its bundle as its sha256 says")


def _data(status: "PlatformStatus") -> Iterator[Check]:
    data = status.freshness
    if data.lake_until is None:
        yield Check("lake", "warning", "no event has landed", "freshet ingest, or make run")
        return
    yield Check("lake", "ok", f"events until {data.lake_until:%Y-%m-%d %H:%M}")
    if data.marts_problem:
        yield Check(
            "marts", "problem", f"tests failed: {data.marts_problem}", "freshet data rejects, then freshet transform"
        )
    elif data.marts_are_behind:
        yield Check("marts", "warning", "they do not know all of the lake", "freshet transform, or the DAG build_marts")
    else:
        yield Check("marts", "ok", f"as new as the lake, {data.n_tests_passed} tests passed")
    if data.features_are_behind:
        yield Check(
            "features",
            "warning",
            "the online store lacks events of the marts",
            "freshet features, or the DAG refresh_features",
        )
    else:
        yield Check("features", "ok", "as new as the marts")
