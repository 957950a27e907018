import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated MLflow database with the experiment in it: MLflow takes seconds to make one."""
    from training.tracking import prepare_tracking

    folder = tmp_path_factory.mktemp("mlflow")
    prepare_tracking(f"sqlite:///{folder}/mlflow.db")
    return folder / "mlflow.db"


@pytest.fixture(scope="module")
def tracking_uri(new_database: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking store of this module's own."""
    database = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    shutil.copy(new_database, database)
    return f"sqlite:///{database}"
