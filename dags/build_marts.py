"""Rebuild and test the marts whenever new events land; every dbt model is a task of its own.

**Makes** the DuckDB marts and their Parquet exports in `features/`, which Feast, training and people read.
**From** the lake.
**Hands on** `marts`, once every model is built and every test has passed.

One dbt process builds everything (`dbt_producer_watcher`) and the model tasks watch it: DuckDB has one writer, and
starting dbt costs more than most models. **When it fails:** the red task names the model or test; `freshet transform`
shows the same failure by hand. Serving and training go on with the last good exports.
"""

from datetime import timedelta

from airflow.sdk import dag, task
from cosmos import (
    DbtTaskGroup,
    ExecutionConfig,
    ExecutionMode,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
)

from dags.assets import EVENTS, MARTS, WAREHOUSE_POOL
from freshet.dbt_project import DBT_DIR, dbt_environment, manifest_path
from freshet.dbt_vars import dbt_vars
from freshet.settings import load_settings

HOME = load_settings().home


@dag(
    schedule=[EVENTS],
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "data", "retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["dbt"],
    doc_md=__doc__,
)
def build_marts() -> None:
    marts = DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            dbt_project_path=DBT_DIR,
            manifest_path=manifest_path(HOME),
            dbt_vars=dbt_vars(),
            env_vars=dbt_environment(HOME),
            install_dbt_deps=False,
        ),
        profile_config=ProfileConfig(
            profile_name="freshet", target_name="duckdb", profiles_yml_filepath=DBT_DIR / "profiles.yml"
        ),
        # The one process that builds takes the writer's slot; the tasks that watch it write nothing.
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER, setup_operator_args={"pool": WAREHOUSE_POOL}
        ),
        render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, emit_datasets=False),
    )

    @task(outlets=[MARTS], pool=WAREHOUSE_POOL, doc_md="Draw the lineage anew; then the marts are ready for everybody.")
    def write_docs() -> None:
        from freshet.dbt_project import write_docs

        write_docs(load_settings().home)

    marts >> write_docs()


build_marts()
