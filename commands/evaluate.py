"""``freshet evaluate``: the recommender beside tuned baselines on a protocol, in one table."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from commands.refusal import refuse
from commands.train import moment_in_micros

ProtocolName = Literal["successive", "rolling", "global", "global-repeats", "cold-items", "leave-one-out"]
"""As in training/protocols.py, which is not imported for a help text: it brings numpy and pyarrow."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("evaluate")(evaluate)


def evaluate(
    protocol: Annotated[
        ProtocolName, typer.Option(help="How training and test are divided; docs/results.md explains each.")
    ] = "successive",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Seeds of the recommender, from FRESHET_SEED on.")] = 1,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="As if nothing after this moment (ISO 8601) were known.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Settings tried for each baseline.")] = 30,
    trainings: Annotated[int, typer.Option(min=1, help="Settings tried for SASRec, a training each.")] = 3,
    sasrec_epochs: Annotated[int, typer.Option(min=1, help="Epochs of a training of SASRec at most.")] = 15,
    epochs: Annotated[
        int | None,
        typer.Option(min=0, max=200, help="Instead of FRESHET_TRAIN_EPOCHS; 0 leaves the sequence head out."),
    ] = None,
    baselines_only: Annotated[bool, typer.Option("--baselines-only", help="Leave the recommender out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object, for programs.")] = False,
) -> None:
    """Tune on validation, fit anew, judge on test: the recommender, its parts and every baseline, with intervals.

    Logged as a run in MLflow's experiment freshet-evaluation, with the results of every user. A run that was killed
    goes on where it was; the same call again prints what it found.
    """
    errors = Console(stderr=True)
    from training.backbones import BackboneError
    from training.baseline_tuning import Budget
    from training.config import ConfigError, load_config
    from training.dataset import DatasetError
    from training.irspack_baselines import MissingLibraryError
    from training.judge import judge
    from training.judgement import Plan
    from training.judgement_log import log_judgement
    from training.judgement_table import written

    plan = Plan(protocol, seeds, Budget(trials, trainings, sasrec_epochs), baselines_only)
    try:
        settings, config = load_config({"as_of": moment_in_micros(as_of), "epochs": epochs})
        judgement, folder = judge(settings, config, plan)
        table = written(judgement)
        (folder / "table.md").write_text(table)
        log_judgement(settings.tracking_uri, judgement, config, folder)
    except (BackboneError, ConfigError, DatasetError, MissingLibraryError) as error:
        refuse(error)
    typer.echo(json.dumps(asdict(judgement)) if as_json else table)  # the console would break long lines
    errors.print(f"kept in {_short(folder)}", highlight=False, soft_wrap=True)


def _short(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
