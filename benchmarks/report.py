"""Print a benchmark's figures and write them to ``$FRESHET_HOME/bench/NAME.json``."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from freshet.settings import PROJECT_ROOT


@dataclass(frozen=True)
class Figure:
    """One measured value. ``spread`` is the lowest and highest value over the repetitions."""

    name: str
    value: float
    unit: str
    spread: tuple[float, float]


def report(name: str, figures: list[Figure], home: Path) -> Path:
    """Show the figures with the machine they were measured on, and keep them; returns the file."""
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    table = Table(title=f"{name} on {machine}", title_justify="left")
    for column in ("figure", "value", "unit", "lowest", "highest"):
        table.add_column(column)
    for figure in figures:
        low, high = figure.spread
        table.add_row(figure.name, f"{figure.value:.3g}", figure.unit, f"{low:.3g}", f"{high:.3g}")
    Console().print(table)
    path = home / "bench" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"machine": machine, "commit": _commit(), "figures": [asdict(figure) for figure in figures]}
    path.write_text(json.dumps(body, indent=2))
    return path


def _commit() -> str:
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
