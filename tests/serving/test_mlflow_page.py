"""The page in MLflow that the front page links to, in a real browser."""

import os
import subprocess

import pytest

from commands.services import QUIET, answers, mlflow_command
from serving.platform_status import MLFLOW, platform_status


@pytest.fixture
def settings(world, free_ports, eventually):
    """The small world's settings with MLflow's server running on its registry."""
    settings = world.settings.model_copy(update={"mlflow_port": free_ports(1)[0]})
    server = subprocess.Popen(mlflow_command(settings), env=os.environ | QUIET, stdout=subprocess.DEVNULL)
    assert eventually(lambda: answers(f"{settings.mlflow_url}/health"), 120)
    yield settings
    server.terminate()
    server.wait(timeout=60)


@pytest.mark.slow
def test_the_link_to_the_champion_leads_to_its_version_with_alias_and_reason(settings, open_page, eventually, world):
    status = platform_status(settings, [MLFLOW])
    assert status.service(MLFLOW).state == "answers"
    page = open_page(status.champion.url)

    def shows(*words):
        text = page.evaluate("document.body.innerText") or ""
        return all(word in text for word in words)

    assert eventually(lambda: shows(f"Version {world.versions[0]}", "champion", "verdict_reason", "the first"))
