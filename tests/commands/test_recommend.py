"""`freshet recommend` says in one sentence what is wrong; `tests/test_plain_chain.py` shows it at work."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from commands.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty home, asking q.parquet and writing recs.parquet."""
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path / "home"))
    files = ["--queries", str(tmp_path / "q.parquet"), "--out", str(tmp_path / "recs.parquet")]
    return lambda *more: CliRunner().invoke(app, ["recommend", *files, *more])


def write(folder: Path, **columns) -> None:
    pq.write_table(pa.table(columns), folder / "q.parquet")


GOOD = {"query_id": [1], "user_id": ["u"], "as_of": pa.nulls(1)}


def test_a_wrong_file_is_one_sentence_and_exit_code_1(run, tmp_path):
    write(tmp_path, query_id=[1], user=["u"])
    result = run()
    assert result.exit_code == 1
    assert "q.parquet has no column 'user_id': it needs query_id, user_id, as_of" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_home_without_a_model_is_one_sentence_and_exit_code_1(run, tmp_path):
    write(tmp_path, **GOOD)
    result = run()
    assert result.exit_code == 1
    assert "no model is registered" in result.stderr
    assert "run `freshet train` first" in result.stderr
    assert not (tmp_path / "recs.parquet").exists()


def test_a_folder_cannot_be_written_to(run, tmp_path):
    write(tmp_path, **GOOD)
    (tmp_path / "recs.parquet").mkdir()
    result = run()
    assert result.exit_code == 1
    assert "is a folder: name the file to write" in result.stderr


def test_lists_of_no_length_are_refused(run, tmp_path):
    write(tmp_path, **GOOD)
    result = run("--n", "0")
    assert result.exit_code == 2
    assert "--n" in result.stderr
