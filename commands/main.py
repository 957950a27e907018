"""The command line ``freshet``: one thin command per stage, each calling the function that the Airflow task calls."""

import importlib
import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from freshet.settings import SettingsError

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C has ended, as shells have it: 128 + SIGINT."""


class _Interruptible(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """Ctrl-C in a command that does not listen for it is one sentence, too."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Console(stderr=True).print(
                "[red]freshet:[/] stopped; nothing is half done, and the same command goes on from here"
            )
            sys.exit(INTERRUPTED)


app = typer.Typer(cls=_Interruptible, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

_COMMANDS = (
    *("ingest", "data", "transform", "features", "tune_texts", "train", "evaluate", "debias", "champion", "recommend"),
    *("serve", "nearline", "keys", "run", "status", "doctor", "simulate"),
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
