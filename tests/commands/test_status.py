import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from commands.main import app
from commands.status import ago, sparkline

NOW = datetime(2025, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def run(tmp_path, monkeypatch, free_ports):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path / "home"))
    for name, port in zip(("API", "MLFLOW", "AIRFLOW"), free_ports(3), strict=True):
        monkeypatch.setenv(f"FRESHET_{name}_PORT", str(port))
    return lambda *arguments: CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


def test_an_empty_home_is_one_screen_that_says_what_to_do(run):
    result = run("status")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) < 24
    assert "no champion is registered: run `make run`" in result.stdout
    assert "Airflow does not answer: `make ui`" in result.stdout
    assert result.stdout.count("silent") == 3


def test_programs_get_the_same_as_json(run):
    found = json.loads(run("status", "--json").stdout)
    assert found["champion"] is None
    assert found["arrivals"]["today"] == 0
    assert [service["name"] for service in found["services"]] == ["API", "MLflow", "Airflow"]


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=119), "just now"),
        (timedelta(minutes=2), "2 minutes ago"),
        (timedelta(minutes=119), "119 minutes ago"),
        (timedelta(hours=47), "47 hours ago"),
        (timedelta(days=400), "400 days ago"),
    ],
)
def test_a_moment_is_told_in_the_largest_unit_of_which_it_is_two(before, words):
    assert ago(NOW - before, NOW) == words


def test_only_an_hour_without_events_has_no_bar():
    assert sparkline((0, 1, 500, 1000)) == " ▁▄█"
    assert sparkline((0, 0)) == "  "
