"""``freshet promote`` and ``freshet rollback``: which registered version is the champion."""

from typing import Annotated

import typer
from rich.console import Console

from commands.refusal import refuse
from freshet.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add both commands to the command line."""
    app.command("promote")(promote)
    app.command("rollback")(rollback)


def promote(
    version: Annotated[int | None, typer.Argument(help="The version; otherwise the challenger.", min=1)] = None,
    because: Annotated[
        str | None, typer.Option(help="Promote even against the gate, for this reason, which is kept on the version.")
    ] = None,
) -> None:
    """Ask the gate about a version; if it wins it becomes the champion. Exit code 1 if it does not."""
    from freshet.data_quality import data_problem
    from training.promotion import promote as decide
    from training.registry import RegistryError, challenger

    settings = load_settings()
    try:
        asked = version if version is not None else challenger(settings.tracking_uri).version
        verdict = decide(settings.tracking_uri, asked, data_problem(settings.home), overruled_because=because)
    except RegistryError as error:
        refuse(error)
    if not verdict.promoted:
        refuse(f"version {asked} is not promoted: {verdict.reason}")
    Console().print(f"version {asked} is champion: {verdict.reason}", highlight=False, soft_wrap=True)


def rollback() -> None:
    """Make the previous champion the champion again; the two change places."""
    from training.registry import RegistryError
    from training.registry import rollback as put_back

    try:
        version = put_back(load_settings().tracking_uri)
    except RegistryError as error:
        refuse(error)
    reason = version.tags["verdict_reason"]
    Console().print(f"version {version.version} is champion: {reason}", highlight=False, soft_wrap=True)
