"""The command line ``freshet``: one thin command per stage, each calling the function that the Airflow task calls."""

import importlib
import sys

import typer
from rich.console import Console

from freshet.settings import SettingsError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

_COMMANDS = (
    *("ingest", "data", "transform", "features", "tune_texts", "train", "evaluate", "debias", "champion", "recommend"),
    *("serve", "keys", "run", "status", "doctor", "simulate"),
)
for _command in _COMMANDS:
    importlib.import_module(f"commands.{_command}").register(app)


def main() -> None:
    """Run one command; a wrong setting is one sentence and exit code 2."""
    try:
        app()
    except SettingsError as error:
        Console(stderr=True).print(f"[red]freshet:[/] {error}")
        sys.exit(2)


if __name__ == "__main__":
    main()
