"""Rebuild and test the marts whenever new events land; every dbt model is a task of its own.

**Makes** the DuckDB marts and their Parquet exports in `features/`, which Feast, training and people read.
**From** the lake.
**Hands on** `marts`, with the rows of each, once every model is built and every test has passed.

**Interval:** none of its own. A run brings in every ingestion that the marts do not hold yet, whatever day it is about,
so a backfill of `ingest_events` is all that a backfill needs.

One dbt process builds everything (`dbt_producer_watcher`) and the model tasks watch it: DuckDB has one writer, and
starting dbt costs more than most models.

**When it fails:** `report_build` names the models and tests that failed; `freshet transform` shows the same by hand.
Serving and training go on with the last good exports, and no model is promoted until a build passes. Mend the data at
its source or the model in `dbt/`, and clear the run. Where what was wrong is in the marts already, trigger this DAG and
build everything anew.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, TriggerRule, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
from cosmos import (
    DbtTaskGroup,
    ExecutionConfig,
    ExecutionMode,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
    TestBehavior,
)

from dags.alerts import ALERTING, deadline
from dags.assets import EVENTS, MARTS, WAREHOUSE_POOL
from dags.links import DATA_REPORT, LINEAGE, with_buttons
from dags.skipped import skipped
from freshet.dbt_project import DBT_DIR, PROFILE, TARGET, dbt_environment, manifest_path
from freshet.dbt_vars import dbt_vars
from freshet.settings import load_settings

if TYPE_CHECKING:
    from freshet.lineage import Parent

SETTINGS = load_settings()
HOME = SETTINGS.home


@dag(
    schedule=[EVENTS],
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "data", "retries": 2, "retry_delay": timedelta(seconds=10), **ALERTING},
    deadline=deadline(SETTINGS.batch_deadline_minutes, __doc__),
    tags=["dbt"],
    doc_md=__doc__,
    params={
        "full_refresh": Param(
            False,
            type="boolean",
            title="Build everything anew",
            description="Forget what earlier builds brought in, such as an ingestion that was taken out of the lake.",
        ),
    },
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
            profile_name=PROFILE, target_name=TARGET, profiles_yml_filepath=DBT_DIR / "profiles.yml"
        ),
        # The one process that builds takes the writer's slot; the tasks that watch it write nothing.
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            setup_operator_args={
                "pool": WAREHOUSE_POOL,
                "dbt_cmd_flags": ["--resource-type", "test"],
                "full_refresh": "{{ params.full_refresh }}",
                "pre_execute": _build_whole_and_say_little,
            },
        ),
        # Tests run where dbt builds, each before what depends on it; watching each of them would double the time.
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST, emit_datasets=False, test_behavior=TestBehavior.NONE
        ),
        # A build that fails is one alert, by `report_build`; a second try is for processes that died.
        default_args={"on_failure_callback": None, "retries": 1},
        operator_args={"pre_execute": _build_whole_or_not, "poke_interval": 2},  # seconds between two looks
    )

    @task(
        outlets=[MARTS],
        trigger_rule=TriggerRule.ALL_DONE,
        doc_md="What became of the build: kept for the promotion gate; when all is well the marts are announced.",
    )
    def report_build(*, outlet_events: Any) -> None:
        from freshet.data_quality import record_quality
        from freshet.dbt_project import run_results_path
        from freshet.exports import exported_rows
        from freshet.lineage import emit_build

        context, settings = get_current_context(), load_settings()
        home = settings.home
        quality = record_quality(home, run_results_path(home), since=context["dag_run"].start_date)
        emit_build(settings, _this_task(context["ti"]))
        if not quality.is_good:
            raise AirflowFailException(
                f"{len(quality.problems)} models or tests failed: {quality.summary()}. The last good exports stay, and "
                "no model is promoted meanwhile: mend the data at its source or the model in dbt/, and clear the run, "
                "or trigger one that builds everything anew"
            )
        outlet_events[MARTS].extra = {"n_passed": quality.n_passed, "rows": exported_rows(home)}

    @task(pool=WAREHOUSE_POOL, doc_md="Draw the lineage, for `/lineage/` of the API, when the project has changed.")
    def write_docs() -> None:
        from freshet.dbt_project import docs_are_current, write_docs

        home = load_settings().home
        if docs_are_current(home):
            raise skipped("the project has not changed since the documentation was written")
        write_docs(home)

    marts >> with_buttons(report_build(), DATA_REPORT, LINEAGE) >> write_docs()


def _build_whole_or_not(context: Any) -> None:
    """Let a cleared or killed build be built again, whole, by the one task that may.

    Left to itself, Cosmos skips a second try of the build and lets every model run alone instead: many writers, and
    exports that no test has seen.
    """
    context["ti"].try_number = 1
    context["task"].poke_retry_number = 1  # of the watching tasks: a build that failed is no reason to run a model


def _build_whole_and_say_little(context: Any) -> None:
    """For the one task that builds: what went wrong is told at once, and of all else only how it ended.

    Cosmos would also tell when each model and test began, was compiled and was executed: four hundred calls of the API
    server for a build, of which nobody reads three hundred, and which cost more than dbt.
    """
    from cosmos.operators._watcher import base

    base._DBT_EVENT_ALLOWLIST = base._DBT_ERROR_EVENTS_TYPES
    _build_whole_or_not(context)


def _this_task(task_instance: Any) -> "Parent":
    """This task as OpenLineage knows it, so that models hang below it."""
    from airflow.providers.openlineage.plugins.macros import lineage_job_name, lineage_run_id

    from freshet.lineage import Parent

    return Parent(lineage_run_id(task_instance), lineage_job_name(task_instance))


build_marts()
