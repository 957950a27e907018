"""What a process of its own took: seconds, processor seconds and peak memory."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from freshet.settings import PREFIX

MEGABYTE = 1_024 * 1_024


@dataclass(frozen=True)
class Cost:
    """What a stage took."""

    seconds: float
    cpu_seconds: float
    """Of all its threads and processes; unlike ``seconds``, it does not grow when others keep the machine busy."""
    peak_bytes: int

    def __add__(self, other: "Cost") -> "Cost":
        """One after the other."""
        return Cost(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_bytes, other.peak_bytes),
        )


def run_freshet(home: Path, *arguments: str, **settings: object) -> Cost:
    """One command of Freshet on this home, with further settings by their names."""
    return run_module("commands.main", *arguments, home=home, **settings)


def run_module(name: str, *arguments: str, home: Path, **settings: object) -> Cost:
    """A module as a process of its own; its output goes to ``bench.log`` in its home. Leaves where it fails."""
    began = time.perf_counter()
    home.mkdir(parents=True, exist_ok=True)
    log = home / "bench.log"
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", name, *arguments],
        {**os.environ, **{PREFIX + key.upper(): str(value) for key, value in (settings | {"home": home}).items()}},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"{name} {' '.join(arguments)} failed: see {log}")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1_024)
