"""Airflow itself on a small world: intervals, backfills, one writer at a time, alerts, and data that fails its tests.

The tests are one story, told in the order in which they stand here.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import duckdb
import psutil
import pytest

from commands import services
from commands.airflow import airflow_command
from commands.processes import Processes
from freshet.airflow_api import CHAIN, AirflowApi
from freshet.contract import Event
from freshet.data_quality import data_problem
from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from tests.airflow_page import logged_in
from tests.http_handler import Handler
from tests.judged import results_per_user
from training import registry

pytestmark = pytest.mark.slow

SECONDS = 600
"""How long to wait before something hangs; nothing is said about speed."""
SMALL_WORLD = Path(__file__).parent / "small_world"
FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)
EVENTS, MARTS = "freshet://lake/events", "freshet://warehouse/marts"
CHAMPION = "freshet://mlflow/freshet-recommender@champion"


class Webhook(Handler):
    """Keeps the alerts that are posted."""

    def do_POST(self):
        self.server.alerts.append(json.loads(self.body()))
        self.answer(200)


@pytest.fixture(scope="module")
def webhook(listen):
    server = listen(Webhook)
    server.alerts = []
    return server


@pytest.fixture(scope="module")
def platform(tmp_path_factory, free_ports, webhook):
    """Airflow on the small world, with a live log of two events on each of three past days; every DAG but training."""
    home = tmp_path_factory.mktemp("orchestration")
    api, mlflow, airflow_port = free_ports(3)
    settings = Settings(
        home=home,
        dataset=str(SMALL_WORLD),
        api_port=api,
        mlflow_port=mlflow,
        airflow_port=airflow_port,
        ingest_schedule="0 0 * * *",
        alert_webhook_url=f"http://127.0.0.1:{webhook.server_port}/hook",
        batch_deadline_minutes=0.01,
    )
    log_two_events_a_day(settings)
    environment = services.child_environment(settings)
    processes = Processes(home)
    services.prepare(settings, environment)
    try:
        services.start_airflow(processes, environment)
        with AirflowApi(settings) as airflow:
            services.wait_for_airflow(airflow, processes, SECONDS)
            yield SimpleNamespace(settings=settings, airflow=airflow, environment=environment, processes=processes)
    finally:
        processes.stop()


def log_two_events_a_day(settings):
    log = SqliteEventLog(settings.log_path)
    for day in range(3):
        for hour in (6, 18):
            moment = FIRST_DAY + timedelta(days=day, hours=hour)
            log.append(
                [
                    Event(
                        event_id=f"live-{day}-{hour}",
                        event_type="view",
                        user_id="ann",
                        item_id="i1",
                        occurred_at=moment,
                        received_at=moment,
                    )
                ]
            )
    log.close()


def wait(platform, what, is_so):
    end = time.monotonic() + SECONDS
    while not is_so():
        platform.processes.check()
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.5)


def settled(platform, *dag_ids):
    """Waits until nothing of these DAGs runs or waits, twice in a row: one DAG may be about to start another."""
    quiet = 0
    while quiet < 4:
        busy = [
            run for dag_id in dag_ids for run in platform.airflow.runs(dag_id) if run.state in ("queued", "running")
        ]
        quiet = 0 if busy else quiet + 1
        platform.processes.check()
        time.sleep(1)
    return {dag_id: platform.airflow.runs(dag_id) for dag_id in dag_ids}


def backfill(platform):
    days = ("--from-date", "2026-03-02", "--to-date", "2026-03-04")
    command = airflow_command("backfill", "create", "--dag-id", "ingest_events", *days)
    done = subprocess.run(
        command, env=os.environ | platform.environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def n_live_ingestions(platform):
    return len(list((platform.settings.lake_dir / "ingestions").glob("live-*.parquet")))


def test_a_backfill_moves_each_day_of_the_log_in_its_own_interval(platform):
    backfill(platform)  # while nothing else is asked of Airflow: a busy SQLite database refuses the command
    for dag_id in CHAIN[:3]:
        platform.airflow.unpause(dag_id)
    wait(platform, "the backfilled runs", lambda: n_live_ingestions(platform) == 3)
    runs = settled(platform, "ingest_events")
    assert {run.state for run in runs["ingest_events"]} == {"success"}
    ends = duckdb.sql(
        "select completed_at at time zone 'UTC' from"
        f" '{platform.settings.lake_dir}/ingestions/live-*.parquet' where n_accepted > 0 order by all"
    ).fetchall()
    assert [end.isoformat() for (end,) in ends] == ["2026-03-01T18:00:00", "2026-03-02T18:00:00", "2026-03-03T18:00:00"]


def test_events_are_announced_with_counts_and_interval_and_marts_with_their_rows(platform):
    settled(platform, *CHAIN[:3])
    said = {event["extra"]["interval_end"]: event["extra"] for event in platform.airflow.asset_events(EVENTS)}
    assert said["2026-03-03T00:00:00+00:00"]["interval_start"] == "2026-03-02T00:00:00+00:00"
    # Three runs at once: whichever came first moved what the others would have moved, and nothing was moved twice.
    ledger = duckdb.sql(
        "select sum(n_landed), sum(n_accepted), sum(n_duplicate), sum(n_rejected)"
        f" from '{platform.settings.lake_dir}/ingestions/*.parquet'"
    ).fetchall()
    counts = ("n_landed", "n_accepted", "n_duplicate", "n_rejected")
    assert tuple(sum(extra[name] for extra in said.values()) for name in counts) == ledger[0]
    assert sum(extra["n_ingestions"] for extra in said.values()) == 4
    newest = platform.airflow.asset_events(MARTS)[0]["extra"]
    n_rows = duckdb.sql(
        f"select count(*) from '{platform.settings.features_dir}/fct_training_sequences.parquet'"
    ).fetchall()
    assert newest["rows"]["fct_training_sequences"] == n_rows[0][0]
    features = [event["extra"] for event in platform.airflow.asset_events("freshet://feast/online_features")]
    assert sum(extra["materialized"] for extra in features) > 0
    assert features[0]["verified"]["user_recent_events"]["checked"] > 0


def test_a_day_that_is_done_again_changes_no_byte(platform):
    settled(platform, *CHAIN[:3])
    lake, marts = contents(platform.settings.lake_dir), contents(platform.settings.features_dir)
    for run in platform.airflow.runs("ingest_events"):
        wait(platform, "SQLite", lambda run_id=run.run_id: platform.airflow.clear_run("ingest_events", run_id))
    runs = settled(platform, *CHAIN[:3])
    assert {run.state for run in runs["ingest_events"]} == {"success"}
    assert contents(platform.settings.lake_dir) == lake
    assert contents(platform.settings.features_dir) == marts


def test_dags_that_are_triggered_at_once_take_turns_at_the_warehouse_and_one_that_is_killed_goes_again(platform):
    marts = contents(platform.settings.features_dir)
    for dag_id in CHAIN[:3]:
        platform.airflow.trigger(dag_id)
    kill_the_writer(platform)
    runs = settled(platform, *CHAIN[:3])
    assert {run.state for of_dag in runs.values() for run in of_dag} == {"success"}
    assert contents(platform.settings.features_dir) == marts
    tasks = [
        task for dag_id in CHAIN[:3] for run in runs[dag_id] for task in platform.airflow.tasks(dag_id, run.run_id)
    ]
    assert any(task.n_tries > 1 for task in tasks)
    writers = [task for task in tasks if task.pool == "warehouse" and task.started_at]
    assert len(writers) >= 4  # builds, and their docs: the one of the backfill and the one asked for here
    times = sorted((task.started_at, task.ended_at) for task in writers)
    assert all(ended <= started for (_, ended), (started, _) in pairwise(times))


def kill_the_writer(platform):
    """As the kernel does where memory runs out: at once, in the middle of a build."""
    warehouse = str(platform.settings.warehouse_path)

    def has_it_open(process):
        with contextlib.suppress(psutil.Error):
            return any(file.path == warehouse for file in process.open_files())
        return False

    def found():
        return [process for process in psutil.Process().children(recursive=True) if has_it_open(process)]

    wait(platform, "a process that builds", found)
    for process in found():
        process.kill()


def test_a_late_run_is_told_once_its_deadline_has_passed(platform, webhook):
    wait(platform, "an alert of a late run", lambda: any(alert["kind"] == "run_late" for alert in webhook.alerts))
    alert = next(alert for alert in webhook.alerts if alert["kind"] == "run_late")
    assert alert["dag_id"] in CHAIN[:3]
    assert alert["error"] == "not finished 0.01 minutes after it was queued"


def test_airflow_and_dbt_both_tell_the_lineage(platform):
    lines = (platform.settings.lineage_dir / "events.jsonl").read_text().splitlines()
    names = {json.loads(line)["job"]["name"] for line in lines}
    assert {"ingest_events.close_live_log", "build_marts", "refresh_features"} <= names
    assert any(name.endswith("fct_interactions.build.run") for name in names)


def test_data_that_fails_its_tests_is_one_alert_and_changes_nothing_for_readers(platform, webhook):
    settings, marts = platform.settings, contents(platform.settings.features_dir)
    n_announced = len(platform.airflow.asset_events(MARTS))
    accept_events_twice(settings.lake_dir)
    run_id = platform.airflow.trigger("build_marts")
    runs = settled(platform, *CHAIN[:3])
    # Besides ours there may be a run that the events of the last test have asked for.
    failed = sorted(run.run_id for run in runs["build_marts"] if run.state == "failed")
    assert run_id in failed
    assert contents(settings.features_dir) == marts
    assert len(platform.airflow.asset_events(MARTS)) == n_announced
    assert data_problem(settings.home).startswith("unique_stg_lake__events_event_id: Got 2 results")
    alerts = [alert for alert in webhook.alerts if alert["kind"] == "task_failed"]
    assert sorted(alert["run_id"] for alert in alerts) == failed
    assert {(alert["dag_id"], alert["task_id"]) for alert in alerts} == {("build_marts", "report_build")}
    alert = alerts[0]
    assert "unique_stg_lake__events_event_id" in alert["error"]
    assert alert["what_to_do"].startswith("`report_build` names the models and tests that failed")


def test_who_asks_for_a_champion_where_none_is_registered_is_told_so(platform, webhook):
    platform.airflow.unpause("choose_champion")
    run_id = platform.airflow.trigger("choose_champion", conf={"action": "rollback"})
    (run,) = settled(platform, "choose_champion")["choose_champion"]
    assert (run.run_id, run.state) == (run_id, "failed")
    (alert,) = [alert for alert in webhook.alerts if alert.get("run_id") == run_id and alert["kind"] == "task_failed"]
    assert "freshet-recommender has no previous version to return to" in alert["error"]


def test_while_the_data_is_bad_no_person_can_promote_but_by_overruling(platform, webhook, register_evaluated):
    uri = platform.settings.tracking_uri
    version = register_evaluated(uri, results_per_user(0.08))
    run_id = platform.airflow.trigger("choose_champion", conf={"action": "promote"})
    runs = settled(platform, "choose_champion")["choose_champion"]
    assert {run.state for run in runs} == {"failed"}
    (alert,) = [alert for alert in webhook.alerts if alert.get("run_id") == run_id and alert["kind"] == "task_failed"]
    assert f"version {version} is not promoted: the newest data failed its tests" in alert["error"]
    assert "unique_stg_lake__events_event_id" in registry.get_version(uri, version).tags["verdict_reason"]
    assert registry.champion(uri) is None


@contextlib.contextmanager
def task_page(platform, open_page, dag_id, task_id, state):
    """The newest task of a state, as a person looks at it."""
    runs = [run.run_id for run in platform.airflow.runs(dag_id)]
    states = {run_id: {task.task_id: task.state for task in platform.airflow.tasks(dag_id, run_id)} for run_id in runs}
    run_id = next(run_id for run_id in runs if states[run_id][task_id] == state)
    with logged_in(open_page, platform.settings) as page:
        page.go(f"{platform.settings.airflow_url}/dags/{dag_id}/runs/{quote(run_id)}/tasks/{task_id}")
        yield page


def test_the_page_of_a_refused_promotion_says_why_and_leads_to_the_versions(platform, open_page):
    with task_page(platform, open_page, "choose_champion", "move_aliases", "failed") as page:
        page.shows("is not promoted: the newest data failed its tests (unique_stg_lake__events_event_id")
        page.click("a", "Details")
        page.shows("Model versions")
        links = page.evaluate("[...document.querySelectorAll('a')].map((link) => link.href)")
    assert f"{platform.settings.mlflow_url}/#/models/freshet-recommender" in links


def test_the_page_of_a_skipped_task_says_why(platform, open_page):
    with task_page(platform, open_page, "ingest_events", "announce", "skipped") as page:
        page.shows("Skipped", "INFO - the marts hold everything that the lake holds: nothing to rebuild")


def test_mended_data_is_built_anew_from_the_form_and_then_the_gate_decides(platform):
    settings, uri = platform.settings, platform.settings.tracking_uri
    for part in settings.lake_dir.rglob("broken-0000.parquet"):
        part.unlink()
    next((settings.lake_dir / "ingestions").glob("broken*.parquet")).unlink()
    run_id = platform.airflow.trigger("build_marts", conf={"full_refresh": True})
    runs = settled(platform, *CHAIN[:3])["build_marts"]
    assert {run.run_id: run.state for run in runs}[run_id] == "success"
    assert data_problem(settings.home) is None
    platform.airflow.trigger("choose_champion", conf={"action": "promote"})
    runs = settled(platform, "choose_champion")["choose_champion"]
    assert sorted(run.state for run in runs) == ["failed", "failed", "success"]
    champion = registry.champion(uri)
    assert champion.tags["verdict_reason"].startswith("the first champion")
    (event,) = platform.airflow.asset_events(CHAMPION)
    assert event["extra"]["version"] == champion.version


def accept_events_twice(lake):
    """What only a bug could do: an ingestion that brings the events of another one again."""
    ledger = min((lake / "ingestions").glob("live-*.parquet"))
    for part in (lake / "events").glob(f"*/{ledger.stem}-*.parquet"):
        shutil.copy(part, part.with_name("broken-0000.parquet"))
    duckdb.sql(
        "copy (select * replace ('broken' as ingestion_id)"
        f" from '{ledger}' where record_type = 'event') to '{ledger.with_stem('broken')}'"
    )


def test_the_metadata_of_past_days_is_forgotten_on_request(platform):
    platform.airflow.unpause("clean_metadata")
    platform.airflow.trigger("clean_metadata", conf={"before": datetime.now(UTC).isoformat()})
    runs = settled(platform, "clean_metadata")
    assert [run.state for run in runs["clean_metadata"]] == ["success"]
    assert [task.state for task in platform.airflow.tasks("clean_metadata", runs["clean_metadata"][0].run_id)] == [
        "success"
    ]
    assert all(platform.airflow.has_dag(dag_id) for dag_id in CHAIN)
    left = [run.run_id for dag_id in CHAIN[:3] for run in platform.airflow.runs(dag_id)]
    assert not [run_id for run_id in left if run_id.startswith("manual__")]
