"""Keep what Airflow remembers bounded: finished runs in its database, logs on disk, lineage files.

What was made (lake, marts, models) is never touched: only the record of how it was made grows old.
"""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from freshet.lineage import rotate
from freshet.settings import Settings

BLOCKED_IN_TASKS = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")
"""Airflow sets these to an impossible address inside tasks; without them its own configuration names the database."""

RECORDS = (
    *("asset_event", "callback", "dag_run", "dag_version", "deadline", "import_error", "log"),
    *("task_instance", "task_instance_history", "task_reschedule", "trigger", "xcom"),
)
"""Tables that say what has been. Not ``dag``: Airflow would forget a DAG, and that it is unpaused, when it has not read
its file for as long. Not ``job``: a running process whose row is gone ends at its next heartbeat."""


class HousekeepingError(RuntimeError):
    """Airflow could not clean its database; the message has the end of what it said."""


def clean_metadata(settings: Settings, before: datetime) -> int:
    """Forget runs that ended, and files that were last written, before a moment; returns the number of files.

    The newest scheduled run of every DAG stays whatever its age, since the next one follows from it.
    """
    command = [
        *(sys.executable, "-m", "airflow", "db", "clean"),
        *("--clean-before-timestamp", before.isoformat(), "--tables", ",".join(RECORDS)),
        *("--skip-archive", "--yes", "--error-on-cleanup-failure"),
    ]
    environment = {name: value for name, value in os.environ.items() if name not in BLOCKED_IN_TASKS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HousekeepingError(
            f"`airflow db clean` ended with {done.returncode}: {(done.stdout + done.stderr)[-1_000:]}"
        )
    rotate(settings)
    return remove_files(settings.airflow_dir / "logs", before)


def remove_files(folder: Path, before: datetime) -> int:
    """Remove files that were last written before a moment, and folders that are empty then."""
    n_removed = 0
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside comes before its folder
        if path.is_symlink():
            continue
        if path.is_file() and path.stat().st_mtime < before.timestamp():
            path.unlink()
            n_removed += 1
        elif path.is_dir() and path.stat().st_mtime < before.timestamp() and not any(path.iterdir()):
            path.rmdir()
    return n_removed
