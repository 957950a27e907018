"""Airflow's own parser reads the DAG files, as the DAG processor does."""

import json
import os
import subprocess
import sys

import pytest

from freshet.settings import PROJECT_ROOT

CHAIN = ["ingest_events", "build_marts", "refresh_features", "retrain_recommender"]
DAGS = [*CHAIN, "choose_champion", "clean_metadata", "search_hyperparameters"]
TRAINS = {"retrain_recommender", "search_hyperparameters"}

# A process of its own: Airflow reads its configuration, and opens its database, when it is imported.
PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1], bundle_name="dags-folder")
described = {
    dag_id: {
        "doc": dag.doc_md,
        "tags": sorted(dag.tags),
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "cron": getattr(dag.timetable, "expression", None),
        "period_minutes": getattr(getattr(dag.timetable, "interval", None), "total_seconds", lambda: 0)() / 60,
        "deadline_minutes": [alert.interval.total_seconds() / 60 for alert in dag.deadline or []],
        "waits_for": [asset.name for asset in dag.timetable.asset_condition.objects]
        if getattr(dag.timetable, "asset_condition", None) else [],
        "announces": sorted({asset.name for task in dag.tasks for asset in task.outlets if hasattr(asset, "uri")}),
        "tasks": {
            task.task_id: {
                "retries": task.retries, "pool": task.pool, "owner": task.owner,
                "buttons": [link.name for link in task.operator_extra_links],
                "is_alerting": any(call.__name__ == "report_failure" for call in task.on_failure_callback or []),
            }
            for task in dag.tasks
        },
        "params": {
            name: {**dag.params.get_param(name).schema, "description": dag.params.get_param(name).description}
            for name in dag.params
        },
    }
    for dag_id, dag in bag.dags.items()
}
heavy = sorted({"duckdb", "feast", "mlflow", "numpy", "pandas", "pyarrow", "torch"} & set(sys.modules))
print("RESULT " + json.dumps({"errors": bag.import_errors, "dags": described, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    environment = {
        **os.environ,
        "FRESHET_HOME": str(home),
        "FRESHET_INGEST_SCHEDULE": "15 */2 * * *",
        "FRESHET_MAINTENANCE_SCHEDULE": "@weekly",
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    for command in (
        [sys.executable, "-m", "freshet.dbt_project"],
        [sys.executable, "-m", "airflow", "db", "migrate"],
    ):
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=240)
    command = [sys.executable, "-c", PARSE, str(PROJECT_ROOT / "dags")]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=240).stdout
    return json.loads(next(line for line in output.splitlines() if line.startswith("RESULT "))[len("RESULT ") :])


def test_all_dags_are_found_and_read_without_an_error(parsed):
    assert parsed["errors"] == {}
    assert sorted(parsed["dags"]) == sorted(DAGS)


def test_reading_the_dags_imports_nothing_heavy(parsed):
    assert parsed["heavy"] == []  # every task begins by reading one


@pytest.mark.parametrize("dag_id", DAGS)
def test_every_dag_says_what_it_makes_from_what_and_what_to_do_when_it_fails(parsed, dag_id):
    doc = parsed["dags"][dag_id]["doc"]
    assert all(f"**{word}" in doc for word in ("Makes**", "From**", "Hands on**", "Interval:**", "When it fails:**"))
    assert parsed["dags"][dag_id]["tags"]


@pytest.mark.parametrize("dag_id", DAGS)
def test_every_dag_tells_when_it_fails_and_when_it_is_late(parsed, dag_id):
    dag = parsed["dags"][dag_id]
    silent = {name for name, task in dag["tasks"].items() if not task["is_alerting"]}
    # A build that fails is one alert of `report_build`, not one for each model and test.
    assert silent == {name for name in dag["tasks"] if name.startswith("dbt.")}
    assert dag["deadline_minutes"] == [360.0 if dag_id in TRAINS else 60.0]


def test_schedules_are_those_of_the_settings(parsed):
    assert parsed["dags"]["ingest_events"]["cron"] == "15 */2 * * *"
    assert parsed["dags"]["ingest_events"]["period_minutes"] == 120.0
    assert parsed["dags"]["clean_metadata"]["cron"] in ("@weekly", "0 0 * * 0")


@pytest.mark.parametrize("dag_id", DAGS)
def test_every_dag_runs_alone_retries_what_may_be_repeated_and_never_catches_up(parsed, dag_id):
    dag = parsed["dags"][dag_id]
    assert dag["max_active_runs"] == 1
    assert dag["catchup"] is False
    own_tasks = {name: task for name, task in dag["tasks"].items() if not name.startswith("dbt.")}
    assert all(task["owner"] != "airflow" for task in own_tasks.values())
    is_repeatable = dag_id != "choose_champion"  # going back twice would be going forth
    assert all((task["retries"] >= 1) is is_repeatable for task in own_tasks.values())


def test_the_chain_is_wired_through_the_assets_that_the_architecture_names(parsed):
    dags = parsed["dags"]
    wiring = [(dag_id, dags[dag_id]["waits_for"], dags[dag_id]["announces"]) for dag_id in CHAIN]
    assert wiring == [
        ("ingest_events", [], ["events"]),
        ("build_marts", ["events"], ["marts"]),
        ("refresh_features", ["marts"], ["online_features"]),
        ("retrain_recommender", ["online_features"], ["champion"]),
    ]
    architecture = (PROJECT_ROOT / "docs" / "architecture.md").read_text()
    for asset in ("events", "marts", "online_features", "champion"):
        assert f"`{asset}`" in architecture


def test_every_dbt_model_is_a_task_of_its_own(parsed):
    models = {path.stem for path in (PROJECT_ROOT / "dbt" / "models").rglob("*.sql")}
    tasks = " ".join(parsed["dags"]["build_marts"]["tasks"])
    assert models
    assert all(f"dbt.{model}" in tasks for model in models)


def test_only_one_task_at_a_time_writes_the_warehouse(parsed):
    tasks = parsed["dags"]["build_marts"]["tasks"]
    writers = {name for name, task in tasks.items() if task["pool"] == "warehouse"}
    assert "dbt.dbt_producer_watcher" in writers


def test_the_retrain_form_refuses_what_makes_no_sense(parsed):
    params = parsed["dags"]["retrain_recommender"]["params"]
    assert params["epochs"]["minimum"] == 1
    assert params["promote"]["enum"] == ["if_better", "never"]
    assert all(schema["description"] for schema in params.values())


def test_tasks_have_buttons_to_the_other_windows(parsed):
    tasks = {name: task for dag in parsed["dags"].values() for name, task in dag["tasks"].items()}
    assert tasks["fit_and_evaluate"]["buttons"] == ["MLflow run", "Data report", "dbt docs"]
    assert tasks["promote"]["buttons"] == ["Model version", "MLflow run", "Data report", "dbt docs"]
    assert tasks["move_aliases"]["buttons"] == ["Model versions"]
    assert tasks["report_build"]["buttons"] == ["Data report", "dbt docs"]
    assert tasks["announce"]["buttons"] == ["Data report"]


def test_a_search_tries_the_usual_settings_and_others_and_has_an_end(parsed):
    search = parsed["dags"]["search_hyperparameters"]
    assert set(search["tasks"]) == {"plan_trials", "try_settings.run_trial", "conclude"}
    assert search["params"]["trials"]["minimum"] == 2
    assert search["params"]["budget_minutes"]["exclusiveMinimum"] == 0
    assert all(schema["description"] for schema in search["params"].values())
