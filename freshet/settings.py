"""The one place where Freshet is configured: ``FRESHET_*`` variables, or the same names in ``.env``.

Built once per process with ``load_settings()`` and passed in; functions take values, not this object.
"""

import difflib
import ipaddress
import math
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, HttpUrl, Secret, ValidationError, field_validator, model_validator
from pydantic_core import from_json
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from freshet.contract import INTERACTION_TYPES, EventType
from freshet.schedule import is_schedule

PREFIX = "FRESHET_"
MovieLensEdition = Literal["any", "latest-small", "20m", "25m", "32m"]
PROJECT_ROOT = Path(__file__).resolve().parents[1]
SECRETS = frozenset({"alert_webhook_url"})
"""Settings whose value is never shown, not even when it is wrong."""

MAX_EVENT_WEIGHT = 1_000


class SettingsError(ValueError):
    """A setting is unknown or invalid; the message names it and says what to do."""


class Settings(BaseSettings):
    """Every field can be set as ``FRESHET_<FIELD>``; `.env.example` shows the ones a newcomer may want."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    home: Path = Path("var")
    """Everything Freshet writes: log, lake, warehouse, features, registry, models. One home holds one world."""

    dataset: str = "demo"
    """What `ingest_events` loads: the name of a dataset (docs/data.md lists them), or a path to your own files."""

    datasets_dir: Path = Path("datasets")
    """Where original dataset folders or archives lie, such as movielens-latest-small/ or ml-25m.zip."""

    movielens_edition: MovieLensEdition = "any"
    """Which MovieLens the dataset `movielens` is; any: the largest one found, else a download of 32m."""

    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """The one seed: simulator, training, tie-breaking and bootstrap all derive theirs from it."""

    demo_users: int = Field(default=2_000, ge=10)
    """People in the simulated world."""

    demo_items: int = Field(default=3_000, ge=50)
    """Things in the simulated catalogue, the last ones of which appear over time."""

    demo_days: int = Field(default=60, ge=10)
    """Days of simulated history."""

    demo_events: int = Field(default=150_000, ge=1_000)
    """Approximate number of simulated events."""

    demo_live_days: int = Field(default=0, ge=0)
    """The newest days of the simulated history that are not loaded: `freshet simulate` lets them arrive one by one."""

    event_weights: Annotated[dict[EventType, float], NoDecode] = {}
    """Weights of event types that differ from the contract's, as JSON; rebuild all marts after a change."""

    text_backbone: str = "minilm"
    """The language model that reads items: minilm (from its package), any Hugging Face model id, or a folder."""

    train_epochs: int = Field(default=6, ge=1, le=200)
    """Passes over the training sequences that the sequence head makes at most."""

    train_budget_minutes: float | None = Field(default=None, gt=0, le=10_000)
    """About how long a training may take: fewer settings are tried, fewer epochs made. Empty: as long as it takes."""

    debias: float = Field(default=0.0, ge=0, le=10)
    """How much less than learned the next model's lists pay for popularity; `freshet debias` shows what that costs."""

    api_host: str = "127.0.0.1"
    """Address of the FastAPI application. Other than loopback only where `FRESHET_API_AUTH` is keys."""

    api_auth: Literal["open", "keys"] = "open"
    """keys: every request needs a key of `freshet keys create` with the right scope. open: none, on loopback only."""

    api_port: int = Field(default=8000, ge=1, le=65535)
    """Port of the FastAPI application."""

    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    """Port of MLflow's UI, on loopback."""

    airflow_port: int = Field(default=8080, ge=1, le=65535)
    """Port of Airflow's API server and UI, on loopback."""

    champion_poll_seconds: float = Field(default=2.0, gt=0, le=3600)
    """How often serving asks the registry whether the champion alias has moved."""

    scenarios: Path | None = None
    """A YAML file that changes scenarios and gives them business rules (docs/guides/rules.md); read at every start."""

    ingest_schedule: str = "0 * * * *"
    """When `ingest_events` closes the live log, as cron in UTC: what arrived since the tick before goes to the lake."""

    retrain_schedule: str = "0 3 * * 1"
    """When a retraining comes due, as cron in UTC; it begins with the next fresh features that hold newer events."""

    update_schedule: str = "0 3 * * *"
    """When an update of the champion comes due, likewise: what came since is learned, and nothing chosen anew."""

    maintenance_schedule: str = "30 2 * * *"
    """When `clean_metadata` forgets old runs, logs and lineage files, as cron in UTC."""

    metadata_retention_days: int = Field(default=30, ge=1, le=3650)
    """How long Airflow's finished runs, task logs and lineage files are kept."""

    batch_deadline_minutes: float = Field(default=60, gt=0, le=10_080)
    """How long a run of any DAG but `retrain_recommender` may take before an alert says it is late."""

    training_deadline_minutes: float = Field(default=360, gt=0, le=10_080)
    """How long a run of `retrain_recommender` may take before an alert says it is late."""

    alert_webhook_url: Secret[HttpUrl] | None = None
    """Where alerts are sent as JSON, beside the line in the log that each of them writes. A secret: never logged."""

    openlineage_url: HttpUrl | None = None
    """The OpenLineage server that lineage events go to; without one they go to `lineage/events.jsonl` in the home."""

    otlp_endpoint: HttpUrl | None = None
    """The OpenTelemetry collector (OTLP over HTTP) that gets spans of events and answers; without it there are none."""

    verify_sample_size: int = Field(default=2_000, ge=1)
    """How many rows of each feature view `refresh_features` compares with the marts, others after every day of data."""

    verify_max_mismatch_share: float = Field(default=0.001, ge=0, le=1)
    """The share of wrong online rows above which `refresh_features` fails, although it has repaired them."""

    @field_validator("home", "datasets_dir", "scenarios", mode="after")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().resolve()

    @field_validator(
        *("alert_webhook_url", "openlineage_url", "otlp_endpoint", "train_budget_minutes", "scenarios"), mode="before"
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("ingest_schedule", "retrain_schedule", "update_schedule", "maintenance_schedule")
    @classmethod
    def _is_cron(cls, expression: str) -> str:
        if not is_schedule(expression):
            raise ValueError("is no cron expression: write five fields, such as '0 * * * *', or @daily")
        return expression

    @model_validator(mode="after")
    def _some_history(self) -> Self:
        if self.demo_live_days >= self.demo_days:
            raise ValueError(
                f"demo_live_days {self.demo_live_days} leaves nothing of {self.demo_days} demo_days to be loaded first"
            )
        return self

    @field_validator("event_weights", mode="before")
    @classmethod
    def _from_json(cls, weights: object) -> object:
        return from_json(weights) if isinstance(weights, str) else weights

    @field_validator("event_weights", mode="after")
    @classmethod
    def _weigh_interactions_only(cls, weights: dict[EventType, float]) -> dict[EventType, float]:
        others = sorted(set(weights) - INTERACTION_TYPES)
        if others:
            raise ValueError(f"only interactions have weights, and {', '.join(others)} is none")
        if not all(math.isfinite(weight) and abs(weight) <= MAX_EVENT_WEIGHT for weight in weights.values()):
            raise ValueError(f"a weight is a number between -{MAX_EVENT_WEIGHT} and {MAX_EVENT_WEIGHT}")
        return weights

    @model_validator(mode="after")
    def _open_on_loopback_only(self) -> Self:
        if self.api_auth == "keys":
            return self
        host = "127.0.0.1" if self.api_host == "localhost" else self.api_host
        try:
            is_loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_loopback = False
        if not is_loopback:
            raise ValueError(
                f"api_host {self.api_host!r} is not a loopback address, where everybody could come in: "
                "set FRESHET_API_AUTH=keys and make keys with `freshet keys create`, or use 127.0.0.1"
            )
        return self

    @property
    def log_path(self) -> Path:
        """The live event log (SQLite)."""
        return self.home / "log" / "events.db"

    @property
    def offsets_path(self) -> Path:
        """How far consumers of the log have come (SQLite)."""
        return self.log_path.with_name("offsets.db")

    @property
    def worker_lock_path(self) -> Path:
        """Locked by the process that is the nearline worker."""
        return self.log_path.with_name("nearline.lock")

    @property
    def dedicated_lock_path(self) -> Path:
        """Locked by `freshet nearline`, to which others leave the work."""
        return self.log_path.with_name("nearline-dedicated.lock")

    @property
    def live_rejects_path(self) -> Path:
        """Events that the API refused (SQLite), until they are moved into the lake's rejects."""
        return self.home / "log" / "rejects.db"

    @property
    def live_items_path(self) -> Path:
        """Items that the API was given or told to forget (SQLite); their changes are moved into the lake too."""
        return self.home / "log" / "items.db"

    @property
    def keys_path(self) -> Path:
        """Hashes of API keys, and what they may do (SQLite)."""
        return self.home / "keys.db"

    @property
    def lake_dir(self) -> Path:
        """Accepted events, items, users and the rejects, as Parquet by day of arrival."""
        return self.home / "lake"

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file that dbt writes; one process at a time, never opened by serving."""
        return self.home / "warehouse.duckdb"

    @property
    def features_dir(self) -> Path:
        """The marts that others read, exported by dbt as Parquet."""
        return self.home / "features"

    @property
    def feast_dir(self) -> Path:
        """Feast's registry and embedded online store."""
        return self.home / "feast"

    @property
    def mlflow_dir(self) -> Path:
        """MLflow's database and artifacts."""
        return self.home / "mlflow"

    @property
    def airflow_dir(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def lineage_dir(self) -> Path:
        """OpenLineage events of Airflow and dbt, as lines of JSON."""
        return self.home / "lineage"

    @property
    def models_dir(self) -> Path:
        """Local copies of served bundles, vector cache, checkpoints, downloads of backbones."""
        return self.home / "models"

    @property
    def api_url(self) -> str:
        """Where the FastAPI application answers."""
        return f"http://{self.api_host}:{self.api_port}"

    @property
    def mlflow_url(self) -> str:
        """Where MLflow's UI answers."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def airflow_url(self) -> str:
        """Where Airflow's UI and API answer."""
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow's runs and registry live."""
        return f"sqlite:///{self.mlflow_dir / 'mlflow.db'}"


def load_settings() -> Settings:
    """Read the environment and `.env`. Raises SettingsError naming the first field that is unknown or invalid."""
    _refuse_unknown_names()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise SettingsError(first["msg"]) from None
        field = str(first["loc"][0])
        got = "" if field in SECRETS else f" (got {first['input']!r})"
        raise SettingsError(f"{PREFIX}{field.upper()}: {first['msg']}{got}") from None


def _refuse_unknown_names() -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    for name in [*os.environ, *dotenv_values(".env")]:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            close = difflib.get_close_matches(name[len(PREFIX) :].lower(), Settings.model_fields, n=1)
            hint = f"did you mean {PREFIX}{close[0].upper()}?" if close else "see .env.example for the names"
            raise SettingsError(f"{name} is not a setting of Freshet: {hint}")
