"""Applications over real homes: one empty, and one small world with features, a catalogue and a champion."""

import pytest
from starlette.testclient import TestClient

from freshet.settings import Settings
from serving.app import create_app


@pytest.fixture(scope="session")
def cold_api(tmp_path_factory):
    """An application on an empty home: no batch has run, no model is registered."""
    settings = Settings(home=tmp_path_factory.mktemp("cold_home"))
    with TestClient(create_app(settings)) as api:
        yield api
