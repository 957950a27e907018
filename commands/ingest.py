"""``freshet ingest``: a dataset, or your own files, into the lake."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from freshet.settings import load_settings
from ingestion.datasets.adapter import DatasetError
from ingestion.ingest import IngestionReport, ingest_dataset
from ingestion.lake import WorldError


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("ingest")(ingest)


def ingest(
    name: Annotated[str | None, typer.Argument(help="demo, movielens-small, or a path to your own files")] = None,
) -> None:
    """Bring a dataset into the lake; rows that cannot be used become rejects with their reasons."""
    settings = load_settings()
    try:
        report = ingest_dataset(settings, name)
    except (DatasetError, WorldError) as error:
        Console(stderr=True).print(f"[red]freshet:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
    _show(report)


def _show(report: IngestionReport) -> None:
    console = Console()
    done = "" if report.is_new else ": already in the lake, nothing to do"
    console.print(report.origin + done, soft_wrap=True, highlight=False)
    console.print(report.licence, soft_wrap=True, style="dim")
    table = Table("record", *(f"n_{column}" for column in ("landed", "accepted", "duplicate", "rejected")))
    for column in table.columns[1:]:
        column.justify = "right"
    for counts in report.counts:
        numbers = (counts.n_landed, counts.n_accepted, counts.n_duplicate, counts.n_rejected)
        table.add_row(str(counts.record_type), *(f"{number:,}" for number in numbers))
    console.print(table)
