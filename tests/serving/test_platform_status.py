"""What the platform says of itself, on real homes; Airflow is a server that answers as Airflow does."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from freshet.airflow_api import DAGS, PASSWORDS_FILE
from freshet.contract import Event, EventType
from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from serving.platform_status import API, DriftFigure, platform_status
from tests.http_handler import Handler
from training import registry

NEWEST = datetime(2025, 1, 5, 8, tzinfo=UTC)
"""The newest event of the small world."""


class Airflow(Handler):
    """Healthy; build_marts has failed a minute ago, and no other DAG has run."""

    def do_POST(self):
        sent = json.loads(self.body())
        is_right = sent == {"username": "admin", "password": "right"}
        self.answer(201 if is_right else 401, {"access_token": "token"})

    def do_GET(self):
        if self.path == "/api/v2/monitor/health":
            self.answer(200, {part: {"status": "healthy"} for part in ("scheduler", "dag_processor")})
        else:
            minute_ago = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
            run = {"dag_run_id": "asset__2026 1", "state": "failed", "duration": 7.5, "queued_at": minute_ago}
            self.answer(200, {"dag_runs": [run] if "/build_marts/" in self.path else []})


@pytest.fixture
def settings(tmp_path, free_ports):
    api, mlflow, airflow = free_ports(3)
    return Settings(home=tmp_path / "home", api_port=api, mlflow_port=mlflow, airflow_port=airflow)


@pytest.fixture
def airflow(listen, settings):
    """The settings of a home beside which Airflow runs."""
    settings.airflow_dir.mkdir(parents=True)
    (settings.airflow_dir / PASSWORDS_FILE).write_text(json.dumps({"admin": "right"}))
    return settings.model_copy(update={"airflow_port": listen(Airflow).server_port})


def test_of_an_empty_home_every_part_is_missing_with_its_reason(settings):
    status = platform_status(settings)
    assert status.champion is None
    assert "no champion is registered: run `make run`" in status.champion_fault
    assert status.dag_runs == ()
    assert status.airflow_fault == "Airflow does not answer: `make ui` or `freshet run` starts it"
    assert [service.state for service in status.services] == ["silent"] * 3
    data = status.freshness
    assert (data.lake_until, data.marts_built_at, data.features_until) == (None, None, None)
    assert not data.marts_are_behind and not data.features_are_behind
    assert (status.arrivals.today, sum(status.arrivals.by_hour)) == (0, 0)
    assert not settings.home.exists()  # looking makes nothing


def test_the_champion_stands_beside_its_baselines_best_first(settings, register_evaluated):
    version = register_evaluated(settings.tracking_uri, pa.table({"user_id": ["u"]}))
    quality = {"ease": "0.0400", "recommender": "0.0500", "popularity": "0.0450", "champion": "0.9000"}
    figures = {f"test/{model}/ndcg_at_10": value for model, value in quality.items()}
    figures |= {"test/recommender/ndcg_at_10_lower": "0.0450", "test/recommender/ndcg_at_10_upper": "0.0550"}
    found = registry.get_version(settings.tracking_uri, version)
    registry.note(found, {**figures, "data.until": "2025-06-01", "drift/unknown_items": "0.1250"})
    before = datetime.now(UTC).replace(microsecond=0)
    registry.make_champion(settings.tracking_uri, version, "the first champion")

    champion = platform_status(settings).champion
    assert [(quality.model, quality.ndcg_at_10) for quality in champion.quality] == [
        ("recommender", 0.05),
        ("popularity", 0.045),
        ("ease", 0.04),
    ]
    assert (champion.quality[0].low, champion.quality[0].high) == (0.045, 0.055)
    assert before <= champion.promoted_at <= datetime.now(UTC)
    assert champion.reason == "the first champion"
    assert (champion.data_until, champion.drift) == ("2025-06-01", (DriftFigure("unknown_items", 0.125, 0.3),))
    assert champion.url == f"{settings.mlflow_url}/#/models/freshet-recommender/versions/{version}"


def test_each_dag_has_its_newest_run_or_none(airflow):
    status = platform_status(airflow)
    assert [run.dag_id for run in status.dag_runs] == list(DAGS)
    by_dag = {run.dag_id: run for run in status.dag_runs}
    failed = by_dag.pop("build_marts")
    assert (failed.state, failed.seconds) == ("failed", 7.5)
    assert failed.url == f"{airflow.airflow_url}/dags/build_marts/runs/asset__2026%201"
    assert {run.state for run in by_dag.values()} == {None}
    assert status.airflow_fault is None


def test_another_homes_airflow_is_a_fault_and_no_error(airflow):
    (airflow.airflow_dir / PASSWORDS_FILE).write_text(json.dumps({"admin": "wrong"}))
    status = platform_status(airflow)
    assert status.dag_runs == ()
    assert "is it another home's?" in status.airflow_fault


def test_what_is_no_server_of_ours_is_foreign(airflow):
    status = platform_status(airflow.model_copy(update={"api_port": airflow.airflow_port}))
    assert status.service(API).state == "foreign"


def test_freshness_says_how_far_each_stage_has_come(filled_home, settings):
    shutil.copytree(filled_home, settings.home)
    data = platform_status(settings).freshness
    assert data.lake_until == data.features_until == NEWEST
    assert (data.marts_are_behind, data.features_are_behind, data.marts_problem) == (False, False, None)
    assert data.n_tests_passed > 0

    shutil.rmtree(settings.home / "feast")
    (settings.home / "features" / "fct_ingestion_counts.parquet").unlink()
    behind = platform_status(settings).freshness
    assert behind.marts_are_behind and behind.features_are_behind
    assert behind.features_until is None


def test_todays_events_are_counted_by_the_hour_they_arrived(settings):
    now = datetime.now(UTC)
    log = SqliteEventLog(settings.log_path)
    event = {"event_type": EventType.CLICK, "user_id": "u", "item_id": "i", "occurred_at": now - timedelta(days=3)}
    log.append([Event(**event, event_id="old", received_at=now - timedelta(days=2))])
    log.append([Event(**event, event_id=f"e{number}", received_at=now) for number in range(3)])
    log.close()
    arrivals = platform_status(settings).arrivals
    assert arrivals.today == 3
    assert len(arrivals.by_hour) == 24
    assert sum(arrivals.by_hour) == sum(arrivals.by_hour[-2:]) == 3  # the hour may just have ended
