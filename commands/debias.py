"""``freshet debias``: what paying less for popularity costs, and what it gives."""

from typing import Annotated

import typer

from commands.refusal import refuse
from freshet.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("debias")(debias)


def debias(
    version: Annotated[
        int | None, typer.Argument(min=1, help="The version; otherwise the champion, else the newest.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one array, for programs.")] = False,
) -> None:
    """Accuracy beside coverage at several strengths, on the events by which a version was judged.

    Every training measures them; FRESHET_DEBIAS says which strength the next version is served with. The plot is
    evaluation/debias.png of the version's run in MLflow.
    """
    from training.recommend import choose_version
    from training.registry import RegistryError
    from training.tracking import read_text_artifact

    settings = load_settings()
    try:
        chosen, _ = choose_version(settings, version)
    except RegistryError as error:
        refuse(error)
    found = read_text_artifact(settings.tracking_uri, chosen.run_id, f"evaluation/debias.{'json' if as_json else 'md'}")
    if found is None:
        refuse(f"version {chosen.version} was trained before strengths were measured: train again")
    typer.echo(found.rstrip())  # the console would break long lines
