"""MLflow's tracking store: its database, the recommender's experiment, a run's bundle and artifacts.

Light to import: mlflow itself (2 s, 190 MB) is loaded by the first call that needs it.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freshet.files import locked
from training.bundle import verify

if TYPE_CHECKING:
    import pyarrow
    from mlflow import ActiveRun
    from mlflow.tracking import MlflowClient

EXPERIMENT = "freshet-recommender"

_SQLITE = "sqlite:///"
_ARTIFACT = "recommender"


def prepare_tracking(tracking_uri: str, name: str = EXPERIMENT) -> str:
    """Create the database and the experiment if they are missing; returns the experiment's id.

    Safe to call from several processes at once and after a kill. Artifacts lie beside an SQLite database, in
    ``artifacts/``; a tracking server decides by itself.
    """
    _create_database(tracking_uri)
    client = client_of(tracking_uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    database = database_path(tracking_uri)
    location = (database.parent / "artifacts").as_uri() if database else None
    with already_there_is_fine():
        return str(client.create_experiment(name, artifact_location=location))
    return str(client.get_experiment_by_name(name).experiment_id)


@contextlib.contextmanager
def one_decision_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Who reads the aliases to move them holds this, so that two who do so at once cannot cross.

    Beside an SQLite database it is a lock of this machine. A tracking server has none to offer: there it is Airflow,
    with one run at a time of the DAGs that move aliases, that keeps them apart.
    """
    database = database_path(tracking_uri)
    if database is None:
        yield
        return
    with locked(database.with_suffix(".lock")):
        yield


@contextlib.contextmanager
def training_run(
    tracking_uri: str, name: str, tags: Mapping[str, str] | None = None, experiment: str = EXPERIMENT
) -> Iterator["ActiveRun"]:
    """An active MLflow run in the recommender's experiment or another one, for mlflow's own logging functions."""
    import mlflow

    experiment_id = prepare_tracking(tracking_uri, experiment)
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=dict(tags or {})) as run:
        yield run


def log_bundle(tracking_uri: str, run_id: str, folder: Path) -> str:
    """Log a verified bundle to a run as a pyfunc model made from code; returns its ``models:/m-…`` address."""
    import mlflow

    from training import pyfunc

    manifest = verify(folder)
    mlflow.set_tracking_uri(tracking_uri)
    active = mlflow.active_run()
    is_active = active is not None and active.info.run_id == run_id
    with contextlib.nullcontext() if is_active else mlflow.start_run(run_id=run_id):
        info = mlflow.pyfunc.log_model(
            name=_ARTIFACT,
            python_model=pyfunc.__file__,
            artifacts={"bundle": str(folder)},
            signature=pyfunc.signature(),
            input_example=pyfunc.input_example(folder),
            pip_requirements=pyfunc.requirements(),
            metadata={"git_commit": manifest.git_commit, "text_encoder": str(manifest.text_encoder.get("name"))},
        )
    return str(info.model_uri)


def run_url(mlflow_url: str, tracking_uri: str, run_id: str) -> str:
    """The page of a run in MLflow."""
    experiment_id = client_of(tracking_uri).get_run(run_id).info.experiment_id
    return f"{mlflow_url}/#/experiments/{experiment_id}/runs/{run_id}"


def read_text_artifact(tracking_uri: str, run_id: str, path: str) -> str | None:
    """A run's text artifact, or None if it has none of this name."""
    with artifact(tracking_uri, run_id, path) as local:
        return local.read_text() if local else None


def read_json_artifact(tracking_uri: str, run_id: str, path: str) -> dict[str, Any] | None:
    """A run's JSON object, or None."""
    text = read_text_artifact(tracking_uri, run_id, path)
    return dict(json.loads(text)) if text is not None else None


def read_table_artifact(tracking_uri: str, run_id: str, path: str) -> "pyarrow.Table | None":
    """A run's Parquet artifact, or None."""
    import pyarrow.parquet

    with artifact(tracking_uri, run_id, path) as local:
        return pyarrow.parquet.read_table(local) if local else None


@cache
def client_of(tracking_uri: str) -> "MlflowClient":
    """The one client per tracking store and process."""
    # Bars for artifacts of a few files only clutter an Airflow log.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def work_in(tracking_uri: str) -> None:
    """Make this store the process's own, before anything is written.

    MLflow resolves ``models:/…`` addresses through the process's global address, whatever client is asked; a process
    that never set one looks into a fresh ``mlflow.db`` in its working directory. Reading never comes here: serving
    polls from a thread, and must not move the address under somebody who writes.
    """
    import mlflow

    mlflow.set_tracking_uri(tracking_uri)


def database_path(tracking_uri: str) -> Path | None:
    """The SQLite file behind a tracking URI; None for a server or another database."""
    return Path(tracking_uri.removeprefix(_SQLITE)) if tracking_uri.startswith(_SQLITE) else None


@contextlib.contextmanager
def already_there_is_fine() -> Iterator[None]:
    """Let somebody else have been first to create a named thing."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _create_database(tracking_uri: str) -> None:
    """MLflow's migrations write for seconds: done beside, under a lock, then moved into place at once."""
    database = database_path(tracking_uri)
    if database is None or database.is_file():
        return
    from filelock import FileLock
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f".{database.name}.lock")):
        if database.is_file():
            return
        partial = database.with_name(f".{database.name}.partial")
        for leftover in database.parent.glob(f"{partial.name}*"):
            leftover.unlink()
        engine = create_sqlalchemy_engine(f"{_SQLITE}{partial}")
        _initialize_tables(engine)
        engine.dispose()
        partial.rename(database)


@contextlib.contextmanager
def artifact(tracking_uri: str, run_id: str, path: str) -> Iterator[Path | None]:
    """A run's artifact as a local file for the time being, or None if it has none of this name."""
    client = client_of(tracking_uri)
    folder, _, _ = path.rpartition("/")
    present = any(artifact.path == path for artifact in client.list_artifacts(run_id, folder or None))
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(client.download_artifacts(run_id, path, temporary)) if present else None
