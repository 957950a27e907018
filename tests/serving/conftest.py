"""Applications over real homes: one empty, and one small world with features, a catalogue and a champion.

The world is worked by hand: thirty items of three topics on a line each, so that "near" is plain to see: sea-3 goes
best with sea-2 and sea-4. Version 1 of the model is for the sea when it knows nothing, version 2 for space.
"""

import itertools
import json
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from freshet.settings import Settings
from serving.app import create_app

TOPICS = ("sea", "space", "food")
ITEM_IDS = [f"{topic}-{number}" for topic in TOPICS for number in range(10)]
UNAVAILABLE = "sea-9"
NOT_YET = "space-9"
NEW_ITEM = "new-0"  # in the catalogue, but younger than the model
DAY = datetime(2025, 6, 1, tzinfo=UTC)
MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class World:
    """A home with everything in it, and its two model versions."""

    settings: Settings
    versions: tuple[int, int]


def wait_for(condition, seconds=60):
    """Wait for something that another thread does; returns the last value of ``condition()``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def recommender_for(favourite):
    """Neighbours on their topic's line speak for each other; without a history the favourite topic leads."""
    from training.blend import REGIMES
    from training.history import Recency
    from training.llm_recommender import HEADS, LLMRecommender
    from training.neighbours import Neighbours

    topic = np.repeat(np.arange(len(TOPICS)), 10)
    place = np.tile(np.arange(10), len(TOPICS))
    near = np.where(topic[:, None] == topic, 1.0 / (1 + np.abs(place[:, None] - place)), 0).astype(np.float32)
    np.fill_diagonal(near, 0)
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    weights[:, [HEADS.index("item_item"), HEADS.index("text"), HEADS.index("trend_all")]] = [1.0, 0.2, 0.01]
    popularity = np.zeros((len(ITEM_IDS), 4), dtype=np.float32)
    popularity[topic == TOPICS.index(favourite), 3] = np.arange(10, 0, -1)
    return LLMRecommender(
        item_ids=list(ITEM_IDS),
        item_vectors=np.eye(len(TOPICS), dtype=np.float32)[topic],
        popularity=popularity,
        item_item=Neighbours.strongest(near, 9),
        transitions=Neighbours.strongest(near, 9),
        sequence=None,
        weights=weights,
        recency=Recency(),
        gate=(0.5,) * len(REGIMES),
    )


READABLE = {
    "sea": ("Pirates of the stormy sea", "The whale hunters", "Sailing around the world", "A submarine below the ice"),
    "space": ("Voyage to Mars", "The last starship", "Aliens above the moon", "Rescue from a black hole"),
    "food": ("The baker of Paris", "Secrets of the kitchen", "A feast of noodles", "Chocolate summer"),
}
"""Titles by topic of a world that is read by a real language model; the last of each topic is scary, and costs 40."""


def readable_rows():
    """The items of that world: sea-0 to food-3."""
    return [
        {
            "item_id": f"{topic}-{number}",
            "title": title,
            "categories": [topic.capitalize()],
            "tags": ["horror"] if number == 3 else ["family"],
            "price": 10.0 * (number + 1),
            "attributes": json.dumps({"colour": ["red", "blue"][number % 2], "pages": 100 * number}),
            "updated_at": DAY,
        }
        for topic, titles in READABLE.items()
        for number, title in enumerate(titles)
    ]


def reading_bundle(folder: Path, vectors_dir: Path):
    """A bundle whose items MiniLM has read; nobody has met any of them, so words are all that speaks."""
    from training.backbones import resolve_backbone
    from training.blend import REGIMES
    from training.bundle import write_bundle
    from training.history import Recency
    from training.llm_recommender import HEADS, LLMRecommender
    from training.neighbours import Neighbours
    from training.onnx_encoder import export_text_encoder
    from training.text_tower import encode_texts, fit_whitening, item_text

    rows, backbone = readable_rows(), resolve_backbone("minilm")
    texts = [item_text(row["title"], row["categories"], row["tags"]) for row in rows]
    raw = encode_texts(texts, backbone=backbone, cache_dir=vectors_dir, progress=False)
    whitening = fit_whitening(raw)
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    weights[:, HEADS.index("text")] = 1.0
    nothing = Neighbours.strongest(np.zeros((len(rows), len(rows)), dtype=np.float32), 4)
    recommender = LLMRecommender(
        item_ids=[row["item_id"] for row in rows],
        item_vectors=whitening.apply(raw),
        popularity=np.zeros((len(rows), 4), dtype=np.float32),
        item_item=nothing,
        transitions=nothing,
        sequence=None,
        weights=weights,
        recency=Recency(),
        gate=(0.5,) * len(REGIMES),
        whitening=whitening,
    )
    write_bundle(
        folder,
        recommender,
        pa.Table.from_pylist(rows),
        text_encoder=backbone.as_lineage(),
        data={},
        config={},
        created_from={},
        text_encoder_folder=export_text_encoder(backbone, vectors_dir.parent / "text_encoders"),
    )


def catalogue_table(item_ids):
    """The items as dbt exports them."""
    rows = [
        {
            "item_id": item_id,
            "title": item_id.replace("-", " number ").capitalize(),
            "categories": [item_id.partition("-")[0]],
            "available_from": datetime(2199, 1, 1, tzinfo=UTC) if item_id == NOT_YET else None,
            "is_available": item_id != UNAVAILABLE,
        }
        for item_id in item_ids
    ]
    columns = [("item_id", pa.string()), ("title", pa.string()), ("categories", pa.list_(pa.string()))]
    columns += [("available_from", MOMENT), ("is_available", pa.bool_())]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def register(tracking_uri, folder: Path, favourite):
    """Log and register one bundle; returns the version."""
    from training.bundle import write_bundle

    described = {"text_encoder": {"name": "none"}, "data": {}, "config": {}, "created_from": {}}
    write_bundle(folder, recommender_for(favourite), catalogue_table(ITEM_IDS), **described)
    return register_bundle(tracking_uri, folder, favourite)


def register_bundle(tracking_uri, folder: Path, name):
    """Log and register what lies in a folder; returns the version."""
    from training.registry import register_run
    from training.tracking import log_bundle, training_run

    with training_run(tracking_uri, name) as run:
        log_bundle(tracking_uri, run.info.run_id, folder)
    return register_run(tracking_uri, run.info.run_id)


def write_exports(home: Path):
    """What dbt exports: user "reader" met sea-4 and turned food-0 down; sea items are popular this week."""
    counts = [(f"n_interactions_{span}", pa.int64()) for span in ("1d", "7d", "30d", "total")]
    reader = {
        "user_id": "reader",
        "event_timestamp": DAY + timedelta(hours=2),
        "recent_event_ids": ["r1", "r2", "r3"],
        "recent_item_ids": ["sea-4", "gone-1", "food-0"],
        "recent_event_types": ["rating", "view", "dislike"],
        "recent_values": [4.5, None, None],
        "recent_occurred_at": [int((DAY + timedelta(hours=hour)).timestamp()) * 1_000_000 for hour in range(3)],
        "seen_item_ids": ["food-0", "gone-1", "sea-3", "sea-4"],
    }
    recent_columns = [("user_id", pa.string()), ("event_timestamp", MOMENT)]
    recent_columns += [(f"recent_{name}", pa.list_(pa.string())) for name in ("event_ids", "item_ids", "event_types")]
    recent_columns += [("recent_values", pa.list_(pa.float64())), ("recent_occurred_at", pa.list_(pa.int64()))]
    recent_columns += [("seen_item_ids", pa.list_(pa.string()))]
    activity = {
        "user_id": "reader",
        "event_timestamp": DAY + timedelta(days=1),
        **dict.fromkeys([name for name, _ in counts], 3),
        "n_active_days": 1,
        "last_interaction_at": DAY + timedelta(hours=2),
    }
    activity_columns = [("user_id", pa.string()), ("event_timestamp", MOMENT), *counts, ("n_active_days", pa.int64())]
    activity_columns += [("last_interaction_at", MOMENT)]
    popularity = [
        {
            "item_id": item_id,
            "event_timestamp": DAY + timedelta(days=1),
            **dict.fromkeys([name for name, _ in counts], 10 - int(item_id.partition("-")[2])),
        }
        for item_id in ITEM_IDS
        if item_id.startswith("sea")
    ]
    popularity_columns = [("item_id", pa.string()), ("event_timestamp", MOMENT), *counts]
    exports = {
        "fct_user_recent_events": ([reader], recent_columns),
        "fct_user_activity_daily": ([activity], activity_columns),
        "fct_item_popularity_daily": (popularity, popularity_columns),
    }
    (home / "features").mkdir(parents=True)
    for mart, (rows, columns) in exports.items():
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), home / "features" / f"{mart}.parquet")
    pq.write_table(catalogue_table([*ITEM_IDS, NEW_ITEM]), home / "features" / "dim_items.parquet")


@pytest.fixture
def make_recommender():
    """A hand-made model by its favourite topic."""
    return recommender_for


@pytest.fixture
def make_catalogue():
    """The table of some items."""
    return catalogue_table


@pytest.fixture(scope="session")
def eventually():
    """Wait for something that another thread does."""
    return wait_for


@pytest.fixture(scope="session")
def cold_api(tmp_path_factory):
    """An application on an empty home: no batch has run, no model is registered."""
    settings = Settings(home=tmp_path_factory.mktemp("cold_home"))
    with TestClient(create_app(settings)) as api:
        yield api


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A registry with two versions, the first of them champion: (tracking database, versions)."""
    from training.registry import make_champion

    folder = tmp_path_factory.mktemp("registry")
    tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
    versions = tuple(register(tracking_uri, folder / favourite, favourite) for favourite in ("sea", "space"))
    make_champion(tracking_uri, versions[0], "the first")
    return folder / "mlflow.db", versions


@pytest.fixture
def home_with_registry(registry, tmp_path):
    """A home with a registry of its own, and no features: (settings, versions)."""
    import mlflow

    database, versions = registry
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'elsewhere.db'}")  # serving goes by its settings alone
    settings = Settings(home=tmp_path / "home", champion_poll_seconds=0.05)
    settings.mlflow_dir.mkdir(parents=True)
    (settings.mlflow_dir / "mlflow.db").write_bytes(database.read_bytes())
    return settings, versions


@pytest.fixture(scope="session")
def world(registry, tmp_path_factory):
    """A home with features online and the first version as champion."""
    from freshet import feature_store

    database, versions = registry
    settings = Settings(home=tmp_path_factory.mktemp("world"), champion_poll_seconds=0.2)
    settings.mlflow_dir.mkdir(parents=True)
    (settings.mlflow_dir / "mlflow.db").write_bytes(database.read_bytes())
    write_exports(settings.home)
    feature_store.apply(settings.home)
    feature_store.materialize(settings.home)
    return World(settings, versions)


@pytest.fixture(scope="session")
def api(world):
    """The application of the world, ready."""
    with TestClient(create_app(world.settings)) as api:
        assert wait_for(lambda: api.get("/readyz").status_code == 200), api.get("/readyz").json()
        assert wait_for(lambda: not api.get("/readyz").json()["warnings"], 5), api.get("/readyz").json()
        yield api


@pytest.fixture(scope="session")
def reading_world(tmp_path_factory):
    """A home whose champion reads new items and queries; without features, so that nobody is known."""
    from training.registry import make_champion

    settings = Settings(home=tmp_path_factory.mktemp("reading"), champion_poll_seconds=0.1)
    folder = tmp_path_factory.mktemp("reading_bundle") / "bundle"
    reading_bundle(folder, settings.models_dir / "vectors")
    settings.mlflow_dir.mkdir(parents=True)
    make_champion(settings.tracking_uri, register_bundle(settings.tracking_uri, folder, "reading"), "the first")
    return settings


@pytest.fixture
def reading_home(reading_world, tmp_path):
    """A copy of that home, to be changed."""
    shutil.copytree(reading_world.home, tmp_path / "home")
    return reading_world.model_copy(update={"home": tmp_path / "home"})


@contextmanager
def opened_api(settings):
    """The application of a home, with its model."""
    with TestClient(create_app(settings)) as api:
        assert wait_for(lambda: api.get("/readyz").json()["model"]), api.get("/readyz").json()
        yield api


@pytest.fixture
def open_api():
    """A function that opens the application of a home and waits for its model."""
    with ExitStack() as opened:
        yield lambda settings: opened.enter_context(opened_api(settings))


@pytest.fixture(scope="module")
def reading_api(reading_world, tmp_path_factory):
    """One application of that world for the tests of a file, which only add to it."""
    home = tmp_path_factory.mktemp("reading_api") / "home"
    shutil.copytree(reading_world.home, home)
    with opened_api(reading_world.model_copy(update={"home": home})) as api:
        yield api


@pytest.fixture(scope="session")
def serve():
    """A function that lets the application of a home answer on a port of loopback, ready, and returns its address."""
    import uvicorn

    with ExitStack() as running:

        def start(settings):
            config = uvicorn.Config(create_app(settings), port=0, log_level="critical", log_config=None)
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run)
            thread.start()
            running.callback(thread.join)
            running.callback(setattr, server, "should_exit", True)
            while not server.started:
                time.sleep(0.02)
            url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            assert wait_for(lambda: httpx.get(url + "/readyz").status_code == 200)
            return url

        yield start


class Page:
    """One page in a browser, driven through its debugging port."""

    def __init__(self, connection):
        """Reports from now on, and what was reported before."""
        self._connection, self._numbers = connection, itertools.count(1)
        self.errors = []
        for part in ("Runtime", "Log"):
            self.command(f"{part}.enable")

    def command(self, method, **parameters):
        """Give a command of the browser's protocol, and return its result."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(timeout=30))).get("id") != number:
            is_error = answer["params"].get("entry", {}).get("level") == "error"
            if is_error or answer["method"] == "Runtime.exceptionThrown":
                self.errors.append(answer["params"])
        return answer["result"]

    def evaluate(self, expression):
        """The value of some JavaScript."""
        return self.command("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")


@pytest.fixture(scope="session")
def open_page(browser, tmp_path_factory):
    """A function that opens an address in a real browser."""
    from websockets.sync.client import connect

    with ExitStack() as opened:

        def open_at(url):
            folder = tmp_path_factory.mktemp("browser")
            command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", url]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            opened.callback(process.wait, timeout=30)
            opened.callback(process.terminate)
            port_file = folder / "DevToolsActivePort"
            while not port_file.exists() or not port_file.read_text():
                assert process.poll() is None, "the browser has ended"
                time.sleep(0.05)
            address = f"http://127.0.0.1:{port_file.read_text().split()[0]}/json"
            while not (pages := [page for page in httpx.get(address).json() if page["url"].startswith(url)]):
                time.sleep(0.05)
            return Page(opened.enter_context(connect(pages[0]["webSocketDebuggerUrl"], max_size=None)))

        yield open_at
