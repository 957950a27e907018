"""``freshet features``: the marts' newest rows become online features, and are compared with what is served."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from commands.refusal import refuse
from freshet.feature_store import FeatureStoreError, apply, materialize
from freshet.settings import load_settings
from nearline.verification import ViewReport, verify_features

console = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(features)
    commands.command("verify")(verify)
    app.add_typer(commands, name="features")


def features(
    context: typer.Context,
    full: Annotated[
        bool, typer.Option("--full", help="Fill with every row again, not only with those that are new.")
    ] = False,
) -> None:
    """Register the Feast definitions, fill the online store from the marts, and check what it answers."""
    if context.invoked_subcommand:
        return
    settings = load_settings()
    with _one_sentence():
        n_definitions = apply(settings.home)
        n_rows = materialize(settings.home, full)
        reports = verify_features(settings, settings.verify_sample_size)
    n_verified = sum(report.n_checked for report in reports)
    console.print(
        f"{n_definitions} definitions, {n_rows:,} rows materialised, {n_verified:,} compared with the marts and equal"
    )


def verify(
    every: Annotated[bool, typer.Option("--all", help="Compare every row, not a sample.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Replace wrong online rows by what the marts say.")] = False,
) -> None:
    """Compare online rows with the marts, feature by feature, and say what differs."""
    settings = load_settings()
    with _one_sentence():
        reports = verify_features(settings, None if every else settings.verify_sample_size, repair)
    for report in reports:
        console.print(_line(report), highlight=False, soft_wrap=True)


def _line(report: ViewReport) -> str:
    if report.mismatches:
        return str(report)
    behind = f", {report.n_behind:,} wait for the next `freshet features`" if report.n_behind else ""
    return f"{report.mart.view}: {report.n_checked:,} rows compared and equal{behind}"


@contextmanager
def _one_sentence() -> Iterator[None]:
    """What is wrong with the features is one sentence and exit code 1."""
    try:
        yield
    except FeatureStoreError as error:
        refuse(error)
