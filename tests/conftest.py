"""What all tests share: an environment of their own, and an order in which the long ones begin first."""

import os
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.browser_page import Page, opened_page

# Threads that wait do not spin; OpenMP reads this when torch is first imported, which may be before any fixture.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The workers share the machine, and what they start: with two threads each they only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SMALL_WORLD = Path(__file__).parent / "small_world"
PICTURES = Path(__file__).parents[1] / "docs" / "images"


# A busy machine is no bug: speed is measured in benchmarks/, not judged here.
settings.register_profile("freshet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("freshet")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--pictures` makes the documentation's pictures of the windows anew."""
    parser.addoption("--pictures", action="store_true", help="keep what browsers show in docs/images/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests begin first, on a worker of their own, while another one runs all the others."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session", autouse=True)
def quiet_environment():
    """Nothing is reported to anybody."""
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def free_ports():
    """A function that names n ports on loopback which nobody listens on."""

    def choose(n: int) -> list[int]:
        probes = [socket.socket() for _ in range(n)]
        try:
            for probe in probes:
                probe.bind(("127.0.0.1", 0))
            return [probe.getsockname()[1] for probe in probes]
        finally:
            for probe in probes:
                probe.close()

    return choose


@pytest.fixture(scope="session")
def listen():
    """A function that lets a handler answer on a port of loopback, in a thread, until the tests end."""
    servers = []

    def start(handler: type[BaseHTTPRequestHandler]) -> HTTPServer:
        server = HTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def outside_environment():
    """The environment of the person who runs the tests, without settings of Freshet but for the datasets' place."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FRESHET_") or name == "FRESHET_DATASETS_DIR"
    }


@pytest.fixture(scope="session")
def browser():
    """A browser that can be driven without a screen."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip(f"NO BROWSER ({', '.join(names)}) on this machine: nobody has LOOKED at the page")
    return found


@pytest.fixture(scope="session")
def open_page(browser, tmp_path_factory):
    """A function that opens an address in a real browser, for as long as it is looked at: pages that ask for news keep
    a processor busy."""
    return lambda url: opened_page(browser, tmp_path_factory.mktemp("browser"), url)


@pytest.fixture
def keep_picture(request):
    """A function that keeps what a page shows for the documentation, where that was asked for."""

    def keep(page: Page, name: str) -> None:
        if request.config.getoption("--pictures"):
            (PICTURES / name).write_bytes(page.picture())

    return keep


@pytest.fixture(scope="session")
def built_home(tmp_path_factory):
    """A home with the small world ingested and its marts built. Who changes it makes a copy first.

    In `tests/small_world/`: ann has three sessions, and a view of the first arrives two days late. zoë buys at midnight
    and clicks the second of what she was shown. bob only searches, the same twice, and sends one row that is no event.
    max views 105 items in one go, five more than a packed state holds. i4 and blå-å occur in events only.
    """
    from freshet.dbt_project import build_marts
    from freshet.settings import Settings
    from ingestion.ingest import ingest_dataset

    home = tmp_path_factory.mktemp("small_world")
    ingest_dataset(Settings(home=home), str(SMALL_WORLD), is_progress_shown=False)
    build_marts(home)
    return home


@pytest.fixture(scope="session")
def filled_home(built_home, tmp_path_factory):
    """The built home with its features registered and online. Who changes it makes a copy first."""
    from freshet.feature_store import apply, materialize

    home = tmp_path_factory.mktemp("filled") / "home"
    shutil.copytree(built_home, home)
    apply(home)
    materialize(home)
    return home


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of forty items with random, but readable, likings: text and item-item heads, no sequence head."""
    import numpy as np
    import pyarrow as pa

    from training.blend import REGIMES
    from training.bundle import write_bundle
    from training.history import Recency
    from training.llm_recommender import HEADS, LLMRecommender
    from training.neighbours import Neighbours

    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likings = generator.normal(size=(40, 40)).astype(np.float32)
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    weights[:, [HEADS.index("item_item"), HEADS.index("text"), HEADS.index("trend_all")]] = [1.0, 0.5, 0.1]
    recommender = LLMRecommender(
        item_ids=[f"item-{number}" for number in range(40)],
        item_vectors=vectors,
        popularity=generator.integers(0, 100, size=(40, 4)).astype(np.float32),
        item_item=Neighbours.strongest(likings, 10),
        transitions=Neighbours.strongest(likings.T.copy(), 10),
        sequence=None,
        weights=weights,
        recency=Recency(),
    )
    folder = tmp_path_factory.mktemp("small") / "bundle"
    write_bundle(
        folder,
        recommender,
        pa.table({"item_id": recommender.item_ids, "title": [f"Item {number}" for number in range(40)]}),
        text_encoder={"name": "minilm"},
        data={"hash": "abc", "until_us": 1_700_000_000_000_000},
        config={"seed": 0},
        created_from={},
    )
    return folder


@pytest.fixture
def register_evaluated(small_bundle, tmp_path):
    """A function that logs an evaluated run of the small bundle, with each user's results, and registers it."""
    import mlflow
    import pyarrow as pa
    import pyarrow.parquet as pq

    from training import registry
    from training.tracking import log_bundle, training_run

    def log(tracking_uri: str, per_user: pa.Table, after: int = 60, until: int = 70) -> int:
        with training_run(tracking_uri, "training") as run:
            pq.write_table(per_user, tmp_path / "per_user.parquet")
            mlflow.log_artifact(str(tmp_path / "per_user.parquet"), "evaluation")
            mlflow.log_dict({"holdout": {"after_us": after, "until_us": until}}, "evaluation/table.json")
            log_bundle(tracking_uri, run.info.run_id, small_bundle)
        return registry.register_run(tracking_uri, run.info.run_id)

    return log
