import pytest
from typer.testing import CliRunner

from commands.main import app


@pytest.mark.parametrize("command", [["features"], ["features", "verify"]], ids=" ".join)
def test_a_home_without_marts_is_one_sentence_and_exit_code_1(tmp_path, monkeypatch, command):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "does not exist: run `freshet transform` first" in result.output
