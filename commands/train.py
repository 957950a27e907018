"""``freshet train``: marts and features become a registered recommender, judged beside its baselines."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown

from commands.refusal import refuse
from freshet.settings import SettingsError, load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("train")(train)


def train(
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Train as if nothing after this moment (ISO 8601) were known.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of FRESHET_SEED.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=0, max=200, help="Instead of FRESHET_TRAIN_EPOCHS; 0 leaves the sequence head out."),
    ] = None,
    text_backbone: Annotated[str | None, typer.Option(help="Instead of FRESHET_TEXT_BACKBONE.")] = None,
    budget_minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Try fewer settings and train fewer epochs, so that a run takes about this long. "
            "Instead of FRESHET_TRAIN_BUDGET_MINUTES.",
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Go on from the champion with what came since, choosing nothing anew: minutes become seconds.",
        ),
    ] = False,
    promote: Annotated[bool, typer.Option(help="Let the gate decide; otherwise register as challenger only.")] = True,
) -> None:
    """Choose on validation, judge on the newest events, refit on everything, register, promote if better."""
    console, errors = Console(), Console(stderr=True)
    from training.backbones import BackboneError
    from training.config import ConfigError, load_config
    from training.dataset import DatasetError
    from training.registry import RegistryError
    from training.retraining import version_to_update
    from training.train import train as run

    form: dict[str, Any] = {
        "as_of": moment_in_micros(as_of),
        "seed": seed,
        "epochs": epochs,
        "text_backbone": text_backbone,
        "budget_minutes": budget_minutes,
    }
    try:
        if update:
            form["update_of"] = version_to_update(load_settings().tracking_uri)
        result = run(*load_config(form), promote_if_better=promote)
    except (BackboneError, ConfigError, DatasetError, RegistryError) as error:
        refuse(error)
    console.print(Markdown(result.table))
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.seconds.items() if seconds >= 1)
    errors.print(f"where the time went: {took}", highlight=False, soft_wrap=True)
    verdict = "not asked to promote" if result.verdict is None else result.verdict.reason
    is_champion = result.verdict is not None and result.verdict.promoted
    alias = "champion" if is_champion else "challenger"
    console.print(f"version {result.version} is {alias}: {verdict}", highlight=False, soft_wrap=True)


def moment_in_micros(moment: str | None) -> int | None:
    """What ``--as-of`` says, in UTC unless it names a zone. Raises SettingsError."""
    if moment is None:
        return None
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        raise SettingsError(
            f"--as-of {moment!r} is no moment: write it as 2018-09-01 or 2018-09-01T12:00:00+00:00"
        ) from None
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1e6)
