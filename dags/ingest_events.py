"""Bring what happened into the lake: the configured dataset once, and the closed part of the live event log every hour.

**Makes** accepted events, items and users in `lake/`, and the rows it could not use, each with a reason, in
`lake/rejects/`. **From** the dataset named by `FRESHET_DATASET` and the live event log.
**Hands on** `events`, only when something new arrived; `build_marts` starts from there.

**When it fails:** nothing is half written. Read the task's log, mend the cause (a missing file, a full disk) and
clear the task: a rerun of any interval gives the same bytes. `freshet ingest NAME` does the same by hand and prints
the counts.
"""

from datetime import datetime, timedelta

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.assets import EVENTS


@dag(
    schedule="@hourly",  # on the hour, UTC: what the log received before it is closed
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "data", "retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["ingestion"],
    doc_md=__doc__,
)
def ingest_events() -> None:
    @task(doc_md="Load the configured dataset, once; later runs find it done.")
    def load_dataset() -> str | None:
        from freshet.settings import load_settings
        from ingestion.ingest import ingest_dataset

        return ingest_dataset(load_settings()).ingestion_id

    @task(doc_md="Move what the live log received before this run into the lake, exactly once.")
    def close_live_log() -> str | None:
        from freshet.settings import load_settings
        from ingestion.ingest import ingest_live_events

        run_after: datetime = get_current_context()["dag_run"].run_after
        return ingest_live_events(load_settings(), until=run_after).ingestion_id

    @task(outlets=[EVENTS], doc_md="Tell the marts, unless they already hold all that the lake holds.")
    def announce() -> None:
        from freshet.dbt_project import marts_are_behind
        from freshet.settings import load_settings

        if not marts_are_behind(load_settings().home):
            raise AirflowSkipException("the marts hold everything that the lake holds: nothing to rebuild")

    load_dataset() >> close_live_log() >> announce()  # one writer at a time in the lake


ingest_events()
