"""Before anything is installed: can this machine take Freshet? One clear sentence when it cannot.

Runs on whatever ``python3`` is, so it uses only the standard library, and no syntax younger than Python 3.6.
"""

import importlib.util
import shutil
import sys

OLDEST = (3, 11)
NEEDED_BYTES = 4 * 1024**3


def problem(version: "tuple[int, int]", has_venv: bool, free_bytes: int) -> "str | None":
    """Say what stands in the way of an installation, or return None."""
    if version < OLDEST:
        found, oldest = "{}.{}".format(*version), "{}.{}".format(*OLDEST)
        return f"Python {found} is too old: Freshet needs {oldest} or newer; set it with `make setup PYTHON=python3.11`"
    if not has_venv:
        return "this Python has no venv module: install it first (on Debian and Ubuntu: apt install python3-venv)"
    if free_bytes < NEEDED_BYTES:
        free, needed = free_bytes / 1024**3, NEEDED_BYTES / 1024**3
        return f"only {free:.1f} GB are free on this disk: the installation needs {needed:.0f} GB; free some space"
    return None


def main() -> None:
    """Exit with the problem on standard error, or quietly with 0."""
    has_venv = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
    sentence = problem(sys.version_info[:2], has_venv, shutil.disk_usage(".").free)
    if sentence:
        sys.exit("freshet: " + sentence)


if __name__ == "__main__":
    main()
