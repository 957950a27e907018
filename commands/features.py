"""``freshet features``: the marts' newest rows become online features."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from freshet.feature_store import FeatureStoreError, apply, materialize, verify
from freshet.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("features")(features)


def features(
    full: Annotated[
        bool, typer.Option("--full", help="Fill from the beginning, not from where the last fill ended.")
    ] = False,
) -> None:
    """Register the Feast definitions, fill the online store from the marts, and check what it answers."""
    home = load_settings().home
    console = Console(stderr=True)
    try:
        n_definitions = apply(home)
        n_rows = materialize(home, full)
        n_verified = verify(home)
    except FeatureStoreError as error:
        console.print(f"[red]freshet:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
    console.print(
        f"{n_definitions} definitions, {n_rows:,} rows materialised, {n_verified} compared with the marts and equal"
    )
