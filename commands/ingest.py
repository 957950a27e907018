"""``freshet ingest``: a dataset, or your own files, into the lake."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from commands.refusal import refuse
from commands.tables import books_table, reasons_table
from freshet.settings import MovieLensEdition, Settings, load_settings
from ingestion.datasets import DATASETS, movielens
from ingestion.datasets.adapter import DatasetError
from ingestion.datasets.files import open_files
from ingestion.ingest import IngestionReport, ingest_dataset, rehearse
from ingestion.ingest import ingest as ingest_opened
from ingestion.lake import WorldError
from ingestion.lake_schema import RecordType

HELP = """Bring a dataset, or your own files, into the lake.

Rows that cannot be used become rejects with their reasons, and nothing is lost: landed = accepted + duplicate +
rejected. Doing it again changes nothing, and an interrupted ingestion is simply done again.

One home holds one world: take another FRESHET_HOME for another dataset. Without a name, this ingests the dataset that
FRESHET_DATASET names; a path is read like `freshet ingest files`.
"""

FILES_HELP = """Your own Parquet, CSV (.gz) or JSONL (.gz) files.

An event needs event_type, user_id, occurred_at and, but for a search, item_id; an item needs item_id and title. Columns
that are called otherwise are explained by --mapping. Begin with --dry-run: it names every kind of mistake and how often
it occurs.

More files of the same world can follow in the same home: the next month of events, a new catalogue, or a corrected
file, of which only the rows that are new or mended are accepted.

freshet ingest files --events orders.csv --items products.csv --mapping shop.yaml --dry-run
"""


def _flowing(text: str | None) -> str:
    """Paragraphs without line breaks of our own: the terminal has its own width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n"))


class DatasetGroup(TyperGroup):
    """A group in which any other word is the path of somebody's own files."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first word names, or the one that takes it for a path."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            return PATH_COMMAND, self.commands[PATH_COMMAND], args
        return super().resolve_command(ctx, args)


PATH_COMMAND = "path"
ingest_app = typer.Typer(cls=DatasetGroup, help=_flowing(HELP), invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(ingest_app, name="ingest")


@ingest_app.callback()
def configured(context: typer.Context) -> None:
    """Without a name: what the settings name."""
    if context.invoked_subcommand is None:
        _ingest(lambda settings: ingest_dataset(settings))


@ingest_app.command(movielens.NAME, help=_flowing(movielens.open_dataset.__doc__))
def ingest_movielens(
    edition: Annotated[
        MovieLensEdition | None,
        typer.Option(help="Which one; otherwise FRESHET_MOVIELENS_EDITION, otherwise the largest one found."),
    ] = None,
) -> None:
    """One of GroupLens's editions."""
    change = {} if edition is None else {"movielens_edition": edition}
    _ingest(lambda settings: ingest_dataset(settings.model_copy(update=change), movielens.NAME))


@ingest_app.command("files", help=_flowing(FILES_HELP))
def ingest_files(
    events: Annotated[str | None, typer.Option(help="What happened: a file, a folder, or a pattern in quotes.")] = None,
    items: Annotated[
        str | None, typer.Option(help="The catalogue. Without it, new items are called by their ids.")
    ] = None,
    users: Annotated[str | None, typer.Option(help="What users declared about themselves.")] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="YAML that says what your columns mean; docs/data.md has examples."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge every row and say what would become of it; write nothing.")
    ] = False,
) -> None:
    """Bring files that are named one by one."""
    texts = ((RecordType.EVENT, events), (RecordType.ITEM, items), (RecordType.USER, users))
    given = {kind: text for kind, text in texts if text is not None}
    if not given:
        raise typer.BadParameter("give at least --events, or --items or --users for a home that has events")
    if dry_run:
        _rehearse(given, mapping)
    else:
        _ingest(lambda settings: ingest_opened(settings, open_files(given, mapping, settings.lake_dir)))


@ingest_app.command(PATH_COMMAND, hidden=True)
def ingest_path(path: str) -> None:
    """A folder with events.* and perhaps items.*, users.* and mapping.yaml, or one file of events."""
    _ingest(lambda settings: ingest_dataset(settings, path))


def _named(name: str) -> Callable[[], None]:
    return lambda: _ingest(lambda settings: ingest_dataset(settings, name))


for _name, _open_dataset in DATASETS.items():
    if _name != movielens.NAME:  # which has an option of its own
        ingest_app.command(_name, help=_flowing(_open_dataset.__doc__))(_named(_name))


def _ingest(bring: Callable[[Settings], IngestionReport]) -> None:
    settings = load_settings()
    try:
        report = bring(settings)
    except (DatasetError, WorldError) as error:
        refuse(error)
    console = Console()
    done = "" if report.is_new else ": already in the lake, nothing to do"
    console.print(report.origin + done, soft_wrap=True, highlight=False)
    console.print(report.licence, soft_wrap=True, style="dim")
    console.print(books_table(report.counts))
    if any(counts.n_rejected for counts in report.counts):
        console.print("`freshet data rejects` lists the rejected rows with their reasons", highlight=False)


def _rehearse(given: dict[RecordType, str], mapping: Path | None) -> None:
    settings = load_settings()
    try:
        rehearsal = rehearse(settings, open_files(given, mapping, settings.lake_dir))
    except DatasetError as error:
        refuse(error)
    console = Console()
    console.print(f"{rehearsal.origin}: a dry run, nothing is written", soft_wrap=True, highlight=False)
    console.print(books_table(rehearsal.counts))
    if rehearsal.reasons:
        console.print(reasons_table(rehearsal.reasons))
