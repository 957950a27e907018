"""How a command ends that cannot do what it was asked: one sentence on standard error, and exit code 1."""

import sys
from typing import NoReturn

from rich.console import Console
from rich.markup import escape


def refuse(reason: object) -> NoReturn:
    """Say why, as it is: what stands in brackets is no markup."""
    Console(stderr=True).print(f"[red]freshet:[/] {escape(str(reason))}", highlight=False, soft_wrap=True)
    sys.exit(1)
