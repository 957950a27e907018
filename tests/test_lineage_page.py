"""The lineage in a real browser: from the lake's sources to the model and the endpoint, as the API publishes it."""

import shutil
import subprocess
import threading
import time
from urllib.parse import quote

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from freshet.dbt_project import target_path, write_docs
from serving.routes.front import lineage_router

SOURCE_GREEN, EXPOSURE_ORANGE = (95, 184, 37), (255, 105, 74)
"""The colours in which dbt draws sources and exposures."""


@pytest.fixture(scope="module")
def lineage_url(built_home, tmp_path_factory):
    """A running API that publishes the documentation of the small world."""
    import uvicorn

    home = tmp_path_factory.mktemp("lineage")
    for name in ("lake", "dbt", "features"):
        shutil.copytree(built_home / name, home / name)
    shutil.copy(built_home / "warehouse.duckdb", home)
    write_docs(home)
    app = FastAPI()
    app.include_router(lineage_router(target_path(home)))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/lineage/"
    server.should_exit = True
    thread.join()


@pytest.fixture
def look(browser, lineage_url, tmp_path):
    """Opens a place of the documentation, as a link to it would, and returns the picture."""

    def open_at(place):
        picture = tmp_path / "page.png"
        command = [
            *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--hide-scrollbars", "--window-size=1900,820", "--force-device-scale-factor=1.25"),
            *("--virtual-time-budget=20000", f"--user-data-dir={tmp_path / 'browser'}", f"--screenshot={picture}"),
            f"{lineage_url}#!/{place}",
        ]
        subprocess.run(command, capture_output=True, timeout=180, check=True)
        return Image.open(picture).convert("RGB")

    return open_at


def columns_of(image, colour):
    """The columns of the picture in which a colour stands."""
    is_there = (np.abs(np.asarray(image).astype(int) - colour) <= 2).all(axis=2)  # browsers round in their own ways
    return np.flatnonzero(is_there.any(axis=0)).tolist()


def test_the_graph_leads_from_a_source_to_the_model_and_the_endpoint(look):
    selected = quote("+exposure:freshet_recommender +exposure:recommendations_endpoint")
    image = look(f"overview?g_v=1&g_i={selected}")
    sources, exposures = columns_of(image, SOURCE_GREEN), columns_of(image, EXPOSURE_ORANGE)
    assert sources and exposures
    assert min(sources) < max(sources) < min(exposures)


def test_a_name_that_is_no_exposure_draws_no_graph(look):
    image = look(f"overview?g_v=1&g_i={quote('+exposure:nothing')}")
    assert columns_of(image, SOURCE_GREEN) == columns_of(image, EXPOSURE_ORANGE) == []
