"""Applications over real homes: one empty, and one small world with features, a catalogue and a champion.

The world is worked by hand: thirty items of three topics on a line each, so that "near" is plain to see: sea-3 goes
best with sea-2 and sea-4. Version 1 of the model is for the sea when it knows nothing, version 2 for space.
"""

import shutil
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import pytest
from starlette.testclient import TestClient

from freshet.settings import Settings
from serving.app import create_app
from tests.serving.worlds import (
    catalogue_table,
    reading_bundle,
    recommender_for,
    register,
    register_bundle,
    write_exports,
)


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
