"""The state of the platform in one look, for `freshet status`, `freshet doctor` and the front door alike.

Whatever cannot be asked is missing from the answer, with the reason beside it: nothing here raises because a part of
the platform is down, and nothing waits longer than a few seconds for one.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import httpx
import pyarrow.parquet as pq

from freshet.airflow_api import DAGS, AirflowApi
from freshet.data_quality import read_quality
from freshet.exports import marts_are_behind
from freshet.feature_store import MARTS
from freshet.settings import Settings
from ingestion.arrivals import arrivals_between
from ingestion.lake_schema import RecordType
from serving.champion import registry_errors
from training import registry
from training.drift import MAX_INSTABILITY, MAX_UNKNOWN_ITEMS
from training.promotion import CHAMPION_NAME, RECOMMENDER_NAME

API, MLFLOW, AIRFLOW = "API", "MLflow", "Airflow"
ANSWER_SECONDS = 3.0
"""How long each server is waited for."""
HOURS = 24
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Service:
    """A server of the platform, and what was found at its address."""

    name: str
    url: str
    state: Literal["answers", "silent", "foreign"]
    """silent: nothing listens there, or it does not answer in time. foreign: something else answers."""


@dataclass(frozen=True)
class Quality:
    """NDCG@10 of one model on the champion's test, with its 95 % interval where that was kept."""

    model: str
    ndcg_at_10: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class DriftFigure:
    """One figure of `training/drift.py`, and above what it is too much; None where it is told beside another."""

    name: str
    value: float
    limit: float | None


@dataclass(frozen=True)
class Champion:
    """The version that should answer, and why."""

    version: int
    promoted_at: datetime | None
    """None on versions that were promoted before this was noted."""
    reason: str
    data_until: str | None
    update_of: int | None
    """The version that it went on from; None for one that chose everything anew."""
    quality: tuple[Quality, ...]
    """Its own first, then every baseline's, best first."""
    drift: tuple[DriftFigure, ...]
    """What was last found to have changed since its training; empty before anybody looked."""
    url: str
    """Its page in MLflow."""


@dataclass(frozen=True)
class DagRun:
    """The newest run of a DAG; without a ``state`` it has never run."""

    dag_id: str
    state: str | None
    queued_at: datetime | None
    seconds: float | None
    url: str


@dataclass(frozen=True)
class Freshness:
    """How far each stage has come. Moments of events are those of the data, which may be years old."""

    lake_until: datetime | None
    """The newest event in the lake."""
    marts_built_at: datetime | None
    marts_are_behind: bool
    """The lake holds something that the marts do not know yet."""
    marts_problem: str | None
    """What the newest data failed its tests with."""
    n_tests_passed: int
    features_until: datetime | None
    """The newest event that the online store was filled with; the nearline worker may know newer ones."""
    features_are_behind: bool
    """The marts hold newer events than the online store was filled with."""


@dataclass(frozen=True)
class Arrivals:
    """Events that reached the live log, impressions among them."""

    today: int
    """Since midnight, UTC."""
    by_hour: tuple[int, ...]
    """In each of the last 24 hours by the clock, the current one last."""


@dataclass(frozen=True)
class PlatformStatus:
    """Everything at one moment."""

    looked_at: datetime
    champion: Champion | None
    champion_fault: str | None
    """Why there is no champion, or why nobody can tell."""
    dag_runs: tuple[DagRun, ...]
    """Empty while Airflow cannot be asked."""
    airflow_fault: str | None
    freshness: Freshness
    arrivals: Arrivals
    services: tuple[Service, ...] = field(default=())

    def service(self, name: str) -> Service:
        """One of those that were looked for."""
        return next(service for service in self.services if service.name == name)


def platform_status(settings: Settings, services: Collection[str] = (API, MLFLOW, AIRFLOW)) -> PlatformStatus:
    """Look at everything once, at those ``services`` that are named."""
    now = datetime.now(UTC)
    found = tuple(service for service in _services(settings) if service.name in services)
    airflow = next((service for service in found if service.name == AIRFLOW), None)
    champion, champion_fault = _champion(settings)
    dag_runs, airflow_fault = _dag_runs(settings, airflow, now)
    return PlatformStatus(
        looked_at=now,
        champion=champion,
        champion_fault=champion_fault,
        dag_runs=dag_runs,
        airflow_fault=airflow_fault,
        freshness=_freshness(settings),
        arrivals=_arrivals(settings.log_path, now),
        services=found,
    )


def _services(settings: Settings) -> list[Service]:
    return [
        _look_at(API, settings.api_url, "/readyz", lambda answer: "ready" in answer.json()),
        _look_at(MLFLOW, settings.mlflow_url, "/health", lambda answer: answer.text == "OK"),
        _look_at(AIRFLOW, settings.airflow_url, "/api/v2/monitor/health", lambda answer: "scheduler" in answer.json()),
    ]


def _look_at(name: str, url: str, path: str, is_ours: Callable[[httpx.Response], bool]) -> Service:
    try:
        answer = httpx.get(url + path, timeout=ANSWER_SECONDS)
    except (httpx.ConnectError, httpx.TimeoutException):
        return Service(name, url, "silent")
    except httpx.HTTPError:  # what listens there does not speak HTTP
        return Service(name, url, "foreign")
    try:
        return Service(name, url, "answers" if is_ours(answer) else "foreign")
    except ValueError:  # what it says is no JSON
        return Service(name, url, "foreign")


def _champion(settings: Settings) -> tuple[Champion | None, str | None]:
    try:
        found = registry.champion(settings.tracking_uri)
    except registry_errors() as error:
        return None, f"the registry cannot be read: {error}"
    if found is None:
        return None, "no champion is registered: run `make run`, or `freshet train` after `freshet transform`"
    tags = found.tags
    return Champion(
        version=found.version,
        promoted_at=datetime.fromisoformat(tags[registry.PROMOTED_AT]) if registry.PROMOTED_AT in tags else None,
        reason=tags.get("verdict_reason", ""),
        data_until=tags.get("data.until"),
        update_of=int(tags[registry.UPDATE_OF]) if registry.UPDATE_OF in tags else None,
        quality=_quality(tags),
        drift=tuple(_drift(name, tags[name]) for name in sorted(tags) if name.startswith("drift/")),
        url=registry.version_url(settings.mlflow_url, found.version),
    ), None


def _quality(tags: Mapping[str, str]) -> tuple[Quality, ...]:
    """From the tags ``test/<model>/ndcg_at_10[_lower|_upper]``."""
    metric = "ndcg_at_10"
    names = [name.split("/")[1] for name in tags if name.startswith("test/") and name.endswith(f"/{metric}")]

    def figure(model: str, end: str) -> float | None:
        value = tags.get(f"test/{model}/{metric}{end}")
        return None if value is None else float(value)

    found = [
        Quality(model, float(tags[f"test/{model}/{metric}"]), figure(model, "_lower"), figure(model, "_upper"))
        for model in names
        if model != CHAMPION_NAME  # the champion of then, beside which this one was judged, is no baseline
    ]
    return tuple(sorted(found, key=lambda quality: (quality.model != RECOMMENDER_NAME, -quality.ndcg_at_10)))


def _drift(tag: str, value: str) -> DriftFigure:
    name = tag.removeprefix("drift/")
    if name.endswith("_instability"):
        return DriftFigure(name, float(value), MAX_INSTABILITY)
    return DriftFigure(name, float(value), MAX_UNKNOWN_ITEMS if name == "unknown_items" else None)


def _dag_runs(settings: Settings, service: Service | None, now: datetime) -> tuple[tuple[DagRun, ...], str | None]:
    if service is None or service.state != "answers":
        return (), "Airflow does not answer: `make ui` or `freshet run` starts it"
    try:
        with AirflowApi(settings, ANSWER_SECONDS) as airflow:
            fault = (
                None if airflow.is_ready() else "its scheduler or DAG processor is not healthy: see logs/airflow-*.log"
            )
            airflow.log_in()
            return tuple(_newest_run(airflow, settings, dag_id, now) for dag_id in DAGS), fault
    except (OSError, httpx.HTTPError) as error:
        return (), f"Airflow does not let us in with this home's password, is it another home's? ({error})"


def _newest_run(airflow: AirflowApi, settings: Settings, dag_id: str, now: datetime) -> DagRun:
    page = f"{settings.airflow_url}/dags/{dag_id}"
    run = airflow.newest_run_before(dag_id, now)
    if run is None:
        return DagRun(dag_id, None, None, None, page)
    return DagRun(dag_id, run.state, run.queued_at, run.seconds, f"{page}/runs/{quote(run.run_id)}")


def _freshness(settings: Settings) -> Freshness:
    quality, home = read_quality(settings.home), settings.home
    recent = MARTS[0]
    in_marts, in_store = (
        _newest(recent.path(home), "event_timestamp"),
        _newest(recent.filled_path(home), "event_timestamp"),
    )
    return Freshness(
        lake_until=_newest(_newest_day(settings.lake_dir / RecordType.EVENT.folder), "occurred_at"),
        marts_built_at=datetime.fromisoformat(quality.built_at) if quality and quality.built_at else None,
        marts_are_behind=(settings.lake_dir / "ingestions").is_dir() and marts_are_behind(home),
        marts_problem=quality.summary() if quality and not quality.is_good else None,
        n_tests_passed=quality.n_passed if quality else 0,
        features_until=in_store,
        features_are_behind=in_marts is not None and (in_store is None or in_store < in_marts),
    )


def _newest_day(folder: Path) -> Path:
    """The last day of arrival of which the lake has rows."""
    return max((path for path in folder.glob("received_date=*")), default=folder)


def _newest(path: Path, column: str) -> datetime | None:
    """The greatest moment in a column of a Parquet file, or of a folder of them, by what their footers say."""
    newest = None
    for file in [path] if path.is_file() else sorted(path.glob("*.parquet")):
        metadata = pq.read_metadata(file)
        place = metadata.schema.names.index(column)
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(place).statistics
            if statistics is not None and statistics.has_min_max:
                newest = max(filter(None, (newest, statistics.max)))
    return newest


def _arrivals(log_path: Path, now: datetime) -> Arrivals:
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours = [this_hour + _HOUR * (number - HOURS + 1) for number in range(HOURS + 1)]
    by_hour = arrivals_between(log_path, hours)
    return Arrivals(today=sum(by_hour[-1 - this_hour.hour :]), by_hour=tuple(by_hour))
