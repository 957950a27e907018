"""What `make run` is tested on: a smaller world than usual, the run itself, and the home after it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import duckdb

from freshet.settings import PROJECT_ROOT, Settings

# Less than the defaults: the same chain and the same claims.
SMALLER = {
    "FRESHET_TRAIN_EPOCHS": "1",
    "FRESHET_TRAIN_BUDGET_MINUTES": "1",
    "FRESHET_DEMO_USERS": "600",
    "FRESHET_DEMO_ITEMS": "800",
    "FRESHET_DEMO_DAYS": "40",
    "FRESHET_DEMO_EVENTS": "30000",
}

MINUTES = 40
"""How long a run may take before something hangs; how long it does take is printed, not asserted."""


@dataclass(frozen=True)
class World:
    """A home after `make run ONCE=1`."""

    dataset: str
    settings: Settings
    environment: dict[str, str]
    output: str

    def query(self, sql: str) -> list[tuple]:
        """Rows of a query over the warehouse, in which FEATURES and LAKE stand for the home's folders."""
        paths = {"FEATURES": self.settings.features_dir, "LAKE": self.settings.lake_dir}
        for name, path in paths.items():
            sql = sql.replace(name, str(path))
        with duckdb.connect(str(self.settings.warehouse_path), read_only=True) as warehouse:
            return warehouse.execute(sql).fetchall()


def movielens_folder(environment):
    """The original folder, where this machine has it."""
    root = Path(environment.get("FRESHET_DATASETS_DIR", PROJECT_ROOT / "datasets"))
    folders = [root / name for name in ("movielens-latest-small", "ml-latest-small")]
    return next((folder for folder in folders if (folder / "ratings.csv").exists()), None)


def make_run(environment, *arguments):
    command = ["make", "run", "ONCE=1", *arguments]
    return subprocess.run(
        command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=MINUTES * 60
    )
