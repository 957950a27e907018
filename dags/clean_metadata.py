"""Forget old runs, task logs and lineage files every night, so that Airflow stays as quick as on its first day.

**Makes** room: Airflow's database and `airflow/logs` keep `FRESHET_METADATA_RETENTION_DAYS` days.
**From** the moment of the run; the form takes another moment. Lake, marts, features and models are never touched.
**Hands on** nothing.

**Interval:** none that matters. A run removes what is older than its own time less the retention; repeating it removes
nothing more.

**When it fails:** nothing else is in danger. The log has what `airflow db clean` says, most often that the database was
busy; clear the task.
"""

from datetime import datetime, timedelta

from airflow.sdk import CronTriggerTimetable, Param, dag, get_current_context, task

from dags.alerts import ALERTING, deadline
from freshet.settings import load_settings

SETTINGS = load_settings()


@dag(
    schedule=CronTriggerTimetable(
        SETTINGS.maintenance_schedule,
        timezone="UTC",
        run_immediately=timedelta(0),  # never: Airflow takes False for "if the last tick is not long ago"
    ),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "operations", "retries": 3, "retry_delay": timedelta(seconds=30), **ALERTING},
    deadline=deadline(SETTINGS.batch_deadline_minutes, __doc__),
    tags=["maintenance"],
    doc_md=__doc__,
    params={
        "before": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Forget what is older than",
            description="Empty: the time of this run, less FRESHET_METADATA_RETENTION_DAYS.",
        )
    },
)
def clean_metadata() -> None:
    @task(doc_md="`airflow db clean`, then old log files.")
    def forget_old_runs() -> int:
        from freshet.housekeeping import clean_metadata

        context = get_current_context()
        asked, settings = context["params"]["before"], load_settings()
        retention = timedelta(days=settings.metadata_retention_days)
        before = datetime.fromisoformat(asked) if asked else context["dag_run"].run_after - retention
        return clean_metadata(settings, before)

    forget_old_runs()


clean_metadata()
