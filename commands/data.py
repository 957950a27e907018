"""``freshet data``: what landed in the lake, what became of it, and the rows that could not be used."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from commands.tables import numbers_table, reasons_table
from freshet.settings import load_settings
from ingestion.balance import Account, accounts, rejected_rows
from ingestion.data_page import data_page
from ingestion.lake import Lake, RecordCounts

COUNTS = ("landed", "accepted", "duplicates", "rejected")

data_app = typer.Typer(
    no_args_is_help=True,
    help="The books of the lake: landed = accepted + duplicates + rejected, for every source and every ingestion.",
)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(data_app, name="data")


@data_app.command()
def report(
    by_interval: Annotated[bool, typer.Option("--by-interval", help="One line for each ingestion.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects, for programs.")] = False,
    html: Annotated[Path | None, typer.Option(dir_okay=False, help="Write a page for people to this file.")] = None,
) -> None:
    """What landed, by source, and what became of it; reads the lake alone, so it needs no warehouse."""
    found, console = accounts(_lake(), by_interval), Console()
    if html is not None:
        html.write_text(data_page(found), encoding="utf-8")
        Console(stderr=True).print(f"written to {html}", highlight=False, soft_wrap=True)
    if as_json:
        console.print_json(json.dumps([_plain(account, by_interval) for account in found]))
    elif not found:
        console.print("nothing has landed yet: `freshet ingest` brings a dataset or your own files", highlight=False)
    elif html is None:
        _show(console, found, by_interval)


@data_app.command()
def rejects(
    source: Annotated[str | None, typer.Option(help="Of this source alone.")] = None,
    reason: Annotated[str | None, typer.Option(help="With these words in the reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object a line, for programs.")] = False,
) -> None:
    """The rows that could not be used: why, where they stand, and how they were written.

    To mend them, correct the file and ingest it again: the rows that are new or mended are accepted, and all others
    count as duplicates.
    """
    found, console = rejected_rows(_lake(), source, reason, limit), Console()
    if as_json:
        for row in found:
            # Not through the console, which would break long lines.
            typer.echo(json.dumps(asdict(row) | {"received_at": row.received_at.isoformat()}, ensure_ascii=False))
        return
    if not found:
        console.print("no such rejects", highlight=False)
        return
    table = Table("source", "file", "line", "record", "reason", show_lines=True)
    table.add_column("row as it was", overflow="fold")  # whole, however narrow the terminal
    for row in found:
        table.add_row(*map(escape, (row.source, row.file, str(row.line), row.record_type, row.reason, row.row)))
    console.print(table)


def _lake() -> Lake:
    return Lake(load_settings().lake_dir)


def _plain(account: Account, is_by_interval: bool) -> dict[str, object]:
    totals = (account.landed, account.accepted, account.duplicates, account.rejected)
    parts: dict[str, object] = {"source": account.source} | dict(zip(COUNTS, totals, strict=True))
    parts["reasons"] = dict(account.reasons)
    parts["records"] = {
        str(part.record_type): dict(zip(COUNTS, _numbers(part), strict=True)) for part in account.records
    }
    if not is_by_interval:
        return parts
    return parts | {
        "ingestion_id": account.ingestion_id,
        "interval_end": account.interval_end and account.interval_end.isoformat(),
    }


def _show(console: Console, found: list[Account], is_by_interval: bool) -> None:
    words = ("source", "ingestion", "until") if is_by_interval else ("source",)
    table = numbers_table((*words, "record"), COUNTS)
    for account in found:
        until = account.interval_end.strftime("%Y-%m-%d %H:%M") if account.interval_end else ""
        named = (account.source, account.ingestion_id or "", until) if is_by_interval else (account.source,)
        for part in account.records:
            if part.n_landed:
                table.add_row(*named, str(part.record_type), *(f"{number:,}" for number in _numbers(part)))
    console.print(table)
    for account in found:
        if account.reasons:
            console.print(f"\nwhy rows of {account.ingestion_id or account.source} were rejected", highlight=False)
            console.print(reasons_table(account.reasons))


def _numbers(part: RecordCounts) -> tuple[int, int, int, int]:
    return part.n_landed, part.n_accepted, part.n_duplicate, part.n_rejected
