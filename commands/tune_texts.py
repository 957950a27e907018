"""``freshet tune-texts``: a language model of your own, by what your users met together or by a larger model."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from commands.refusal import refuse
from commands.train import moment_in_micros


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("tune-texts")(tune_texts)


def tune_texts(
    teacher: Annotated[
        str | None,
        typer.Option(help="Learn how this language model reads, instead of what was met together."),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option(min=1, help="How many of the last layers are adapted; by default 2, and all of them on a GPU."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, max=50, help="Passes at most; the best one is kept.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of a pass.")] = None,
    text_backbone: Annotated[str | None, typer.Option(help="What is tuned, instead of FRESHET_TEXT_BACKBONE.")] = None,
    as_of: Annotated[str | None, typer.Option(help="As if nothing after this moment (ISO 8601) were known.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of FRESHET_SEED.")] = None,
) -> None:
    """Adapt the language model with LoRA to what users met together, or to how a larger model reads.

    Learns from the events before validation and keeps the epoch that is best on it. What is written is a language model
    to be named in FRESHET_TEXT_BACKBONE: the next training reads all items with it, and the gate decides whether
    that version goes live. Where no epoch was better, nothing is written and the exit code is 1.
    """
    from training.backbones import BackboneError
    from training.config import ConfigError, load_config
    from training.dataset import DatasetError
    from training.text_tuning import TuningConfig
    from training.text_tuning import tune_texts as run

    console = Console()
    form: dict[str, Any] = {"text_backbone": text_backbone, "as_of": moment_in_micros(as_of), "seed": seed}
    try:
        settings, config = load_config(form)
        asked: dict[str, Any] = {"teacher": teacher, "layers": layers, "epochs": epochs, "steps_per_epoch": steps}
        tuning = TuningConfig(seed=config.seed, **{name: value for name, value in asked.items() if value is not None})
        tuned = run(settings, config, tuning)
    except (BackboneError, ConfigError, DatasetError) as error:
        refuse(error)
    table = Table("epoch", tuned.measure, "loss", box=None)
    for row in tuned.curve:
        epoch, loss = round(row["epoch"]), row.get("loss")
        mark = " ←" if epoch == tuned.best_epoch else ""
        table.add_row(str(epoch), f"{row['quality']:.4f}{mark}", "" if loss is None else f"{loss:.3f}")
    console.print(table)
    if tuned.folder is None:
        refuse("no epoch was better than the language model as it is: nothing was written")
    console.print(f"FRESHET_TEXT_BACKBONE={tuned.folder}", highlight=False, soft_wrap=True)
