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


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verified bundle without a recommender in it: all that storing, copying and aliases need."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from training.bundle import write_manifest

    folder = tmp_path_factory.mktemp("data") / "bundle"
    folder.mkdir()
    np.save(folder / "vectors.npy", np.eye(3, dtype=np.float32))
    pq.write_table(pa.table({"item_id": ["a", "b", "c"]}), folder / "items.parquet")
    write_manifest(folder, text_encoder={"name": "minilm"}, data={"until_us": 0}, config={}, created_from={})
    return folder
