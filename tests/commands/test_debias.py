"""`freshet debias` prints what a version's training has measured."""

import json

import pytest
from typer.testing import CliRunner

from commands.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(app, ["debias", *arguments])


@pytest.fixture
def version(run, register_evaluated):
    """Registers a version whose run has these artifacts."""
    import mlflow
    import pyarrow as pa

    from freshet.settings import load_settings
    from training.registry import get_version

    def register(**artifacts: str) -> int:
        uri = load_settings().tracking_uri
        rows = {"user_id": ["u"], "model": ["recommender"], "slice": ["all"], "n_events": [1], "ndcg_at_10": [0.1]}
        number = register_evaluated(uri, pa.table(rows))
        for ending, text in artifacts.items():
            mlflow.log_text(text, f"evaluation/debias.{ending}", run_id=get_version(uri, number).run_id)
        return number

    return register


def test_the_newest_version_tells_or_the_one_that_is_named(run, version):
    version(md="| the table |\n", json=json.dumps([{"strength": 0.0}]))
    assert run().stdout == "| the table |\n"
    assert json.loads(run("--json").stdout) == [{"strength": 0.0}]
    version()
    refused = run("2")
    assert refused.exit_code == 1
    assert "version 2 was trained before strengths were measured: train again" in refused.stderr
    assert run("1").exit_code == 0


def test_a_home_without_a_model_is_one_sentence_and_exit_code_1(run):
    refused = run()
    assert refused.exit_code == 1
    assert "no model is registered" in refused.stderr
