"""Runs dbt on a home: build the marts, draw the lineage, prepare the manifest that Airflow reads.

dbt runs as a process of its own: it keeps its DuckDB connection for as long as the process lives, and DuckDB lets only
one process in. ``python -m freshet.dbt_project`` prepares the configured home.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from freshet.data_quality import record_quality
from freshet.dbt_vars import dbt_vars
from freshet.settings import PROJECT_ROOT, load_settings

DBT_DIR = PROJECT_ROOT / "dbt"
PROFILE, TARGET = "freshet", "duckdb"
STATIC_DOCS = "static_index.html"


class DbtError(RuntimeError):
    """dbt failed; its own output above names the model or test."""


def target_path(home: Path) -> Path:
    """Where dbt leaves its manifest, run results and docs."""
    return home / "dbt" / "target"


def manifest_path(home: Path) -> Path:
    """The project as dbt understood it, for Cosmos to draw its tasks from.

    A copy: while dbt works, it writes its own anew, and every task that starts meanwhile would read half of it.
    """
    return home / "dbt" / "manifest.json"


def docs_path(home: Path) -> Path:
    """The documentation, as one file."""
    return target_path(home) / STATIC_DOCS


def run_results_path(home: Path) -> Path:
    """What became of every model and test of the newest dbt command."""
    return target_path(home) / "run_results.json"


def dbt_environment(home: Path) -> dict[str, str]:
    """The variables that every dbt process on this home needs, beside those it inherits."""
    return {
        "FRESHET_HOME": str(home),
        "DBT_TARGET_PATH": str(target_path(home)),
        "DBT_LOG_PATH": str(home / "dbt" / "logs"),
        # They test the SQL, not the data: the project's own tests run them, a build on a home need not.
        "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test",
    }


def run_dbt(home: Path, arguments: Sequence[str]) -> None:
    """Run one dbt command, such as ``["build"]``, with its output passed through. Raises DbtError when it fails."""
    home = home.resolve()
    _make_folders(home)
    command = [
        *(str(Path(sys.executable).with_name("dbt")), *arguments),
        *("--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR), "--vars", json.dumps(dbt_vars())),
        # As Airflow's build says it, though both are the defaults: dbt reads the project anew when told in other words.
        *("--profile", PROFILE, "--target", TARGET),
    ]
    exit_code = subprocess.run(command, env=os.environ | dbt_environment(home), check=False).returncode
    if exit_code != 0:
        raise DbtError(
            f"dbt {' '.join(arguments)} ended with {exit_code}: its output names the model or test that failed"
        )


def build_marts(home: Path, full_refresh: bool = False) -> None:
    """Build and test every model, then export the marts; on a failure the old exports stay, and the gate is told."""
    if not list((home / "lake" / "ingestions").glob("*.parquet")):
        raise DbtError(f"{home / 'lake'} is empty: run `freshet ingest` first")
    began = datetime.now(UTC)
    try:
        run_dbt(home, ["build", *(["--full-refresh"] if full_refresh else [])])
    finally:
        record_quality(home, run_results_path(home), since=began)


def write_docs(home: Path) -> Path:
    """Draw the lineage and write the documentation; the one file it returns needs no other."""
    run_dbt(home, ["docs", "generate", "--static"])
    return docs_path(home)


def docs_are_current(home: Path) -> bool:
    """Whether the documentation says what the project says: it is about models, not about their rows."""
    return _is_current(docs_path(home))


def ensure_manifest(home: Path) -> Path:
    """The manifest, written anew when missing or older than the project; then Airflow can run dbt on this home."""
    manifest = manifest_path(home)
    if not _is_current(manifest):
        run_dbt(home, ["parse"])
        unfinished = manifest.with_name(f".{manifest.name}.unfinished")
        shutil.copyfile(target_path(home) / manifest.name, unfinished)
        unfinished.replace(manifest)
    return manifest


def _make_folders(home: Path) -> None:
    """SQL can write a file, but not make its folder."""
    (home / "features").mkdir(parents=True, exist_ok=True)
    target_path(home).mkdir(parents=True, exist_ok=True)


def _is_current(written: Path) -> bool:
    return written.exists() and written.stat().st_mtime >= _newest_change()


def _newest_change() -> float:
    sources = [path for path in DBT_DIR.rglob("*") if path.suffix in {".sql", ".yml", ".md"}]
    return max(path.stat().st_mtime for path in [*sources, Path(__file__), PROJECT_ROOT / "freshet" / "contract.py"])


if __name__ == "__main__":
    ensure_manifest(load_settings().home)
