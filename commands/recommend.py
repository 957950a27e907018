"""``freshet recommend``: a file of questions becomes a file of lists, without any server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from commands.refusal import refuse
from freshet.settings import load_settings

if TYPE_CHECKING:
    from training.recommend import Summary


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("recommend")(recommend)


def recommend(
    queries: Annotated[
        Path,
        typer.Option(
            help="Parquet with query_id, user_id and as_of: only what was known before that moment counts; "
            "an empty one is after everything."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Parquet to write: query_id, item_id, rank from 1, score.")],
    n: Annotated[int, typer.Option(min=1, help="Length of each list.")] = 10,
    repeats: Annotated[bool, typer.Option(help="Also recommend what the user has met before.")] = False,
    version: Annotated[
        int | None,
        typer.Option(min=1, help="Which registered version answers; otherwise the champion, otherwise the newest."),
    ] = None,
) -> None:
    """Recommend to many users as of many moments, with the registered model and the marts alone."""
    from training.backbones import BackboneError
    from training.bundle import BundleError
    from training.dataset import DatasetError
    from training.questions import QuestionsError
    from training.recommend import recommend as run
    from training.registry import RegistryError

    errors = Console(stderr=True)
    try:
        made = run(load_settings(), queries, out, n, repeats=repeats, version=version)
    except (BackboneError, BundleError, DatasetError, QuestionsError, RegistryError, OSError) as error:
        refuse(error)
    Console().print(_said(made, out), highlight=False, soft_wrap=True)
    if made.version.version != made.newest_version and version is None:
        errors.print(
            f"version {made.newest_version} is newer but not champion: --version {made.newest_version} asks it",
            highlight=False,
            soft_wrap=True,
        )
    if made.n_short:
        errors.print(
            f"{made.n_short:,} of {made.n_questions:,} lists are shorter than {n}, the shortest has {made.shortest}: "
            "the catalogue had nothing more that the user had not met",
            highlight=False,
            soft_wrap=True,
        )


def _said(made: "Summary", out: Path) -> str:
    alias = "champion" if "champion" in made.version.aliases else "not champion"
    return (
        f"{made.n_rows:,} rows, {made.n_questions:,} lists, by version {made.version.version} ({alias}) in {out}\n"
        f"{made.n_strangers:,} lists for users of whom nothing was known, "
        f"{made.n_new_items:,} items known to the model by their text alone"
    )
