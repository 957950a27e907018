"""``freshet transform``: events in the lake become marts, tested and exported."""

from typing import Annotated

import typer
from rich.console import Console

from commands.refusal import refuse
from freshet.dbt_project import DbtError, build_marts, write_docs
from freshet.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("transform")(transform)


def transform(
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Build everything anew.")] = False,
    docs: Annotated[bool, typer.Option("--docs", help="Also write the documentation with the lineage.")] = False,
) -> None:
    """Build and test the dbt marts, and export them for Feast, training and serving."""
    home = load_settings().home
    console = Console(stderr=True)
    try:
        build_marts(home, full_refresh)
        console.print(f"marts exported to {home / 'features'}", highlight=False, soft_wrap=True)
        if docs:
            console.print(f"documentation in {write_docs(home)}", highlight=False, soft_wrap=True)
    except DbtError as error:
        refuse(error)
