"""Bring what happened into the lake: the configured dataset once, and the closed part of the live event log every hour.

**Makes** accepted events, items and users in `lake/`, and the rows it could not use, each with a reason, in
`lake/rejects/`. **From** the dataset named by `FRESHET_DATASET` and the live event log.
**Hands on** `events`, with counts and interval, only when something new arrived; `build_marts` starts from there.

**Interval:** a run moves what the log received in [start, end), and first, interval by interval, whatever runs that
never took place have left behind. So a pause loses nothing, and a run that is repeated, late, or backfilled in any
order, leaves the same files: `airflow backfill create --dag-id ingest_events --from-date … --to-date …`.

**When it fails:** nothing is half written. Read the task's log, mend the cause (a missing file, a full disk) and
clear the task: a rerun of any interval gives the same bytes. `freshet ingest NAME` does the same by hand and prints
the counts.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from dags.alerts import ALERTING, deadline
from dags.assets import EVENTS
from dags.links import DATA_REPORT, with_buttons
from dags.skipped import skipped
from freshet.schedule import period
from freshet.settings import load_settings

SETTINGS = load_settings()


@dag(
    schedule=CronTriggerTimetable(
        SETTINGS.ingest_schedule,
        timezone="UTC",
        interval=period(SETTINGS.ingest_schedule),
        run_immediately=timedelta(0),  # never: Airflow takes False for "if the last tick is not long ago"
    ),
    catchup=False,  # the next run moves what missed ones would have moved
    max_active_runs=1,
    default_args={"owner": "data", "retries": 2, "retry_delay": timedelta(seconds=10), **ALERTING},
    deadline=deadline(SETTINGS.batch_deadline_minutes, __doc__),
    tags=["ingestion"],
    doc_md=__doc__,
)
def ingest_events() -> None:
    @task(doc_md="Load the configured dataset, once; later runs find it done.")
    def load_dataset() -> list[str]:
        from ingestion.ingest import ingest_dataset

        return _new_ids([ingest_dataset(load_settings())])

    @task(doc_md="Move what the live log received before the interval's end into the lake, exactly once.")
    def close_live_log() -> list[str]:
        from ingestion.ingest import ingest_live_intervals

        run_after: datetime = get_current_context()["dag_run"].run_after
        return _new_ids(ingest_live_intervals(load_settings(), until=run_after))

    @task(outlets=[EVENTS], doc_md="Tell the marts, unless they already hold all that the lake holds.")
    def announce(from_dataset: list[str], from_log: list[str], *, outlet_events: Any) -> None:
        from freshet.exports import marts_are_behind
        from ingestion.lake import Lake

        settings = load_settings()
        if not marts_are_behind(settings.home):
            raise skipped("the marts hold everything that the lake holds: nothing to rebuild")
        run = get_current_context()["dag_run"]
        outlet_events[EVENTS].extra = {
            "interval_start": None if run.data_interval_start is None else run.data_interval_start.isoformat(),
            "interval_end": run.run_after.isoformat(),
            "n_ingestions": len(from_dataset + from_log),
            **Lake(settings.lake_dir).total(from_dataset + from_log),
        }

    dataset, live = load_dataset(), close_live_log()
    dataset >> live  # one writer at a time in the lake
    with_buttons(announce(dataset, live), DATA_REPORT)


def _new_ids(reports: Sequence[Any]) -> list[str]:
    """The ingestions that this very run wrote."""
    return [report.ingestion_id for report in reports if report.is_new]


ingest_events()
