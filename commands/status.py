"""``freshet status``: the platform on one screen."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from freshet.settings import load_settings

if TYPE_CHECKING:
    from serving.platform_status import PlatformStatus

COLOURS = {"success": "green", "failed": "red", "running": "cyan", "answers": "green", "foreign": "red"}
BARS = " ▁▂▃▄▅▆▇█"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("status")(status)


def status(as_json: Annotated[bool, typer.Option("--json", help="Print one object, for programs.")] = False) -> None:
    """The champion, the last run of each DAG, how fresh the data is, today's events, and which servers answer.

    The API shows the same on its front page, /.
    """
    from pydantic import TypeAdapter

    from serving.platform_status import PlatformStatus, platform_status

    settings, console = load_settings(), Console()
    found = platform_status(settings)
    if as_json:
        console.print_json(TypeAdapter(PlatformStatus).dump_json(found).decode())
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("Home", escape(str(settings.home.resolve())))
    table.add_row("Champion", _champion(found))
    table.add_row("Runs", _runs(found))
    table.add_row("Data", _data(found))
    table.add_row(
        "Events",
        f"{found.arrivals.today:,} today (UTC, with impressions)   last 24 hours {sparkline(found.arrivals.by_hour)}",
    )
    table.add_row("Servers", _servers(found))
    console.print(table, highlight=False)


def ago(moment: datetime, now: datetime) -> str:
    """How long ago a moment is, in the largest unit of which it is two or more."""
    seconds = (now - moment).total_seconds()
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"


def sparkline(counts: tuple[int, ...]) -> str:
    """A bar for each count; only a count of nothing has none."""
    most = max(counts, default=0) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in counts)


def _champion(found: "PlatformStatus") -> str:
    champion = found.champion
    if champion is None:
        return f"[yellow]none:[/] {escape(found.champion_fault or '')}"
    since = f", since {ago(champion.promoted_at, found.looked_at)}" if champion.promoted_at else ""
    update = f", an update of version {champion.update_of}" if champion.update_of else ""
    lines = [f"version {champion.version}{since}{update}"]
    if champion.quality:
        own, *baselines = champion.quality
        best = f"   best baseline: {baselines[0].model} {baselines[0].ndcg_at_10:.4f}" if baselines else ""
        interval = f" [{own.low:.4f}, {own.high:.4f}]" if own.low is not None and own.high is not None else ""
        lines.append(escape(f"NDCG@10 {own.ndcg_at_10:.4f}{interval}{best}"))
    lines.append(escape(f"because: {champion.reason}"))
    return "\n".join(lines)


def _runs(found: "PlatformStatus") -> Table | str:
    if not found.dag_runs:
        return escape(found.airflow_fault or "")
    table = Table.grid(padding=(0, 2))
    for run in found.dag_runs:
        took = f"{run.seconds:,.0f} s" if run.seconds is not None else ""
        table.add_row(run.dag_id, _coloured(run.state or ""), *_when(run.queued_at, found.looked_at), took)
    if found.airflow_fault:
        table.add_row(f"[yellow]{escape(found.airflow_fault)}[/]")
    return table


def _data(found: "PlatformStatus") -> Table:
    data, now = found.freshness, found.looked_at
    behind = "[yellow]behind the lake[/]" if data.marts_are_behind else ""
    tests = f"[red]{escape(data.marts_problem)}[/]" if data.marts_problem else f"{data.n_tests_passed} tests passed"
    table = Table.grid(padding=(0, 2))
    for name, moment, note in (
        ("lake until", data.lake_until, ""),
        ("marts built", data.marts_built_at, behind or tests),
        (
            "online features until",
            data.features_until,
            "[yellow]behind the marts[/]" if data.features_are_behind else "",
        ),
    ):
        table.add_row(name, *_when(moment, now), note if moment else "")
    return table


def _servers(found: "PlatformStatus") -> Table:
    table = Table.grid(padding=(0, 2))
    for service in found.services:
        table.add_row(service.name, service.url, _coloured(service.state))
    return table


def _when(moment: datetime | None, now: datetime) -> tuple[str, str]:
    return (f"{moment:%Y-%m-%d %H:%M}", ago(moment, now)) if moment else ("never", "")


def _coloured(state: str) -> str:
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else state
