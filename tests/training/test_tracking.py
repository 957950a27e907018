import multiprocessing
from pathlib import Path

import mlflow
import pytest

from training.tracking import (
    EXPERIMENT,
    client_of,
    database_path,
    prepare_tracking,
    read_json_artifact,
    read_table_artifact,
    read_text_artifact,
    training_run,
)


def test_processes_that_start_together_share_one_experiment(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / ".mlflow.db.partial").write_text("left by a kill in the middle of a migration")
    with multiprocessing.get_context("spawn").Pool(
        2
    ) as pool:  # threads of other tests' libraries do not survive a fork
        experiments = pool.map(prepare_tracking, [uri] * 2)
    assert len(set(experiments)) == 1
    experiment = client_of(uri).get_experiment_by_name(EXPERIMENT)
    assert experiment.artifact_location == (tmp_path / "mlflow" / "artifacts").as_uri()
    assert not (tmp_path / "mlflow" / ".mlflow.db.partial").exists()


def test_a_database_of_an_older_mlflow_is_migrated_with_what_is_in_it(tmp_path):
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels.initial_models import Base

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    config = utils._get_alembic_config(uri)
    newest = utils._get_latest_schema_revision()
    engine = utils.create_sqlalchemy_engine(uri)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, ScriptDirectory.from_config(config).get_revision(newest).down_revision)
        connection.exec_driver_sql("INSERT INTO experiments (name, lifecycle_stage) VALUES ('an old one', 'active')")
    with pytest.raises(mlflow.MlflowException, match="out-of-date database schema"):
        utils._verify_schema(engine)
    prepare_tracking(uri)
    utils._verify_schema(engine)
    assert client_of(uri).get_experiment_by_name("an old one") is not None
    engine.dispose()


def test_preparing_again_changes_nothing(tracking_uri):
    assert prepare_tracking(tracking_uri) == prepare_tracking(tracking_uri)


def test_a_run_keeps_its_artifacts(tracking_uri):
    with training_run(tracking_uri, "a run", {"backbone": "minilm"}) as run:
        mlflow.log_text("# A card", "model_card.md")
        mlflow.log_dict({"holdout": {"after": 1}}, "evaluation/table.json")
    run_id = run.info.run_id
    assert read_text_artifact(tracking_uri, run_id, "model_card.md") == "# A card"
    assert read_json_artifact(tracking_uri, run_id, "evaluation/table.json") == {"holdout": {"after": 1}}
    assert read_table_artifact(tracking_uri, run_id, "evaluation/per_user.parquet") is None
    assert client_of(tracking_uri).get_run(run_id).data.tags["backbone"] == "minilm"


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "postgresql://localhost/mlflow"])
def test_a_server_has_no_database_file(uri):
    assert database_path(uri) is None
    assert database_path("sqlite:////home/mlflow.db") == Path("/home/mlflow.db")
