"""`freshet ingest` shows counts, and says in one sentence what is wrong."""

import pytest
import typer
from typer.testing import CliRunner

from commands.ingest import register


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in a home of its own, with a small demo world."""
    monkeypatch.chdir(tmp_path)
    sizes = {"HOME": tmp_path / "home", "DEMO_USERS": 20, "DEMO_ITEMS": 60, "DEMO_DAYS": 10, "DEMO_EVENTS": 1_000}
    for name, value in sizes.items():
        monkeypatch.setenv(f"FRESHET_{name}", str(value))
    app = typer.Typer()
    register(app)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_the_demo_is_ingested_and_counted(run):
    result = run("demo")
    assert result.exit_code == 0
    assert "simulated the demo world of seed 0" in result.stdout
    assert all(word in result.stdout for word in ("n_landed", "n_accepted", "n_duplicate", "n_rejected", "event"))


def test_a_second_time_says_there_is_nothing_to_do(run):
    run("demo")
    result = run()  # the setting names the same dataset
    assert result.exit_code == 0
    assert "already in the lake, nothing to do" in result.stdout


def test_a_wrong_name_lists_the_known_ones(run):
    result = run("netflix")
    assert result.exit_code == 1
    assert "there is no dataset 'netflix'" in result.stderr
    assert "demo, movielens-small" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_second_world_is_refused(run, tmp_path):
    run("demo")
    (tmp_path / "events.csv").write_text("event_type,user_id,item_id,occurred_at\nview,u,i,2025-01-01T00:00Z\n")
    result = run(str(tmp_path / "events.csv"))
    assert result.exit_code == 1
    assert "one home holds one world" in result.stderr
