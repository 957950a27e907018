"""`freshet ingest` shows counts, and says in one sentence what is wrong."""

import pytest
import typer
from typer.testing import CliRunner

from commands.ingest import register
from ingestion.datasets import DATASETS


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in a home of its own, with a small demo world."""
    monkeypatch.chdir(tmp_path)
    sizes = {"HOME": tmp_path / "home", "DEMO_USERS": 20, "DEMO_ITEMS": 60, "DEMO_DAYS": 10, "DEMO_EVENTS": 1_000}
    for name, value in sizes.items():
        monkeypatch.setenv(f"FRESHET_{name}", str(value))
    app = typer.Typer()
    register(app)
    return lambda *arguments: CliRunner().invoke(app, ["ingest", *arguments])


def test_the_demo_is_ingested_and_counted(run):
    result = run("demo")
    assert result.exit_code == 0
    assert "simulated the demo world of seed 0" in result.stdout
    assert all(word in result.stdout for word in ("landed", "accepted", "duplicate", "rejected", "event"))


def test_a_second_time_says_there_is_nothing_to_do(run):
    run("demo")
    result = run()  # the setting names the same dataset
    assert result.exit_code == 0
    assert "already in the lake, nothing to do" in result.stdout


def test_a_wrong_name_lists_the_known_ones(run):
    result = run("netflix")
    assert result.exit_code == 1
    assert "there is no dataset 'netflix'" in result.stderr
    assert "goodbooks, movielens, movielens-small, online-retail" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_second_world_is_refused(run, tmp_path):
    run("demo")
    (tmp_path / "events.csv").write_text("event_type,user_id,item_id,occurred_at\nview,u,i,2025-01-01T00:00Z\n")
    result = run(str(tmp_path / "events.csv"))
    assert result.exit_code == 1
    assert "one home holds one world" in result.stderr


@pytest.fixture
def clicks(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("who,item_id,occurred_at\nu,i,2025-01-01T00:00Z\nu,i,2025-01-01T00:00Z\n,i,2025-01-02T00:00Z\n")
    (tmp_path / "m.yaml").write_text("events: {columns: {user_id: who}, constants: {event_type: click}}")
    return ("files", "--events", str(path), "--mapping", str(tmp_path / "m.yaml"))


def test_a_dry_run_says_what_would_happen(run, clicks, tmp_path):
    result = run(*clicks, "--dry-run")
    assert result.exit_code == 0
    assert "a dry run, nothing is written" in result.stdout
    assert "user_id: Field required" in result.stdout
    assert not (tmp_path / "home").exists()


def test_own_files_are_ingested_as_the_mapping_says(run, clicks):
    result = run(*clicks)
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines() if "event" in line][-1][1::2] == [
        "event",
        "3",
        "1",
        "1",
        "1",
    ]
    assert "freshet data rejects" in result.stdout


def test_a_wrong_mapping_is_one_sentence(run, clicks, tmp_path):
    (tmp_path / "m.yaml").write_text("events: {columns: {user: who}}")
    result = run(*clicks)
    assert (result.exit_code, len(result.stderr.strip().splitlines())) == (1, 1)
    assert "did you mean user_id?" in result.stderr


def test_files_without_files_are_a_usage_error(run):
    result = run("files")
    assert result.exit_code == 2
    assert "give at least --events" in result.stderr


def test_every_dataset_has_a_command_that_says_what_it_is(run):
    for name in DATASETS:
        assert "FRESHET_" in run(name, "--help").stdout
