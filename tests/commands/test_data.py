"""`freshet data` shows the books of the lake, to people and to programs."""

import json
import re

import pytest
import typer
from typer.testing import CliRunner

from commands.data import register
from freshet.settings import Settings
from ingestion.ingest import ingest_dataset

HEADER = "event_type,user_id,item_id,occurred_at\n"
GOOD, TWICE = "click,u1,a,2025-05-01T10:00Z\n", "click,u1,a,2025-05-01T10:00Z\n"
WITHOUT_USER, WITHOUT_ZONE = "click,,a,2025-05-01T10:00Z\n", "click,u1,a,2025-05-01T10:00\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path / "home"))
    app = typer.Typer()
    register(app)
    return lambda *arguments: CliRunner().invoke(app, ["data", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def ingested(run, tmp_path):
    """Two ingestions of own files: of five rows, and of one of them mended."""
    path = tmp_path / "events.csv"
    path.write_text(HEADER + GOOD + TWICE + WITHOUT_USER + WITHOUT_ZONE + WITHOUT_ZONE)
    settings = Settings(home=tmp_path / "home")
    ingest_dataset(settings, str(path), is_progress_shown=False)
    path.write_text(HEADER + GOOD + TWICE + WITHOUT_USER.replace(",,", ",u2,") + WITHOUT_ZONE + WITHOUT_ZONE)
    ingest_dataset(settings, str(path), is_progress_shown=False)
    return path


REASONS = {
    "occurred_at: Input should have timezone info; received_at: Input should have timezone info": 4,
    "user_id: Field required": 1,
}


def test_the_report_adds_up_for_each_source(run, ingested):
    result = run("report", "--json")
    # Two clicks and the item that they name are accepted, the first one is repeated thrice.
    [account] = json.loads(result.stdout)
    records = account.pop("records")
    assert account == {
        "source": "files",
        "landed": 11,
        "accepted": 3,
        "duplicates": 3,
        "rejected": 5,
        "reasons": REASONS,
    }
    assert records["event"] == {"landed": 10, "accepted": 2, "duplicates": 3, "rejected": 5}
    assert records["item"] == {"landed": 1, "accepted": 1, "duplicates": 0, "rejected": 0}


def test_the_report_adds_up_for_each_ingestion(run, ingested):
    found = json.loads(run("report", "--json", "--by-interval").stdout)
    counts = [(part["landed"], part["accepted"], part["duplicates"], part["rejected"]) for part in found]
    assert sorted(counts) == [(5, 1, 2, 2), (6, 2, 1, 3)]
    assert all(part["ingestion_id"].startswith("files-v1-") for part in found)
    assert {part["interval_end"] for part in found} == {"2025-05-01T10:00:00+00:00"}


def test_the_report_is_a_table_for_people(run, ingested):
    result = run("report")
    assert result.exit_code == 0
    numbers = [re.findall(r"\w+", line) for line in result.stdout.splitlines() if "files" in line]
    assert ["files", "event", "10", "2", "3", "5"] in numbers
    assert "user_id: Field required" in result.stdout


def test_the_report_is_a_page_that_needs_nothing_else(run, ingested, tmp_path):
    assert run("report", "--html", str(tmp_path / "report.html")).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "user_id: Field required" in page and ">10<" in page
    assert "http" not in page and "<script" not in page


def test_an_empty_lake_says_what_to_do(run):
    assert "`freshet ingest`" in run("report").stdout
    assert json.loads(run("report", "--json").stdout) == []
    assert "no such rejects" in run("rejects").stdout


def test_rejects_are_listed_with_reason_place_and_row(run, ingested):
    rows = [json.loads(line) for line in run("rejects", "--json", "--reason", "USER_ID").stdout.splitlines()]
    assert [(row["source"], row["file"], row["line"], row["reason"]) for row in rows] == [
        ("files", "events.csv", 4, "user_id: Field required")
    ]
    assert json.loads(rows[0]["row"])["item_id"] == "a"
    assert len(run("rejects", "--json", "--limit", "2").stdout.splitlines()) == 2
    assert run("rejects", "--json", "--source", "live").stdout == ""
    assert "events.csv" in run("rejects").stdout
