import shutil

import pytest
from typer.testing import CliRunner

from commands.main import app


@pytest.mark.parametrize("command", [["features"], ["features", "verify"]], ids=" ".join)
def test_a_home_without_marts_is_one_sentence_and_exit_code_1(tmp_path, monkeypatch, command):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "does not exist: run `freshet transform` first" in result.output


def test_features_are_filled_compared_and_repaired(built_home, tmp_path, monkeypatch):
    home = tmp_path / "home"
    shutil.copytree(built_home, home)
    monkeypatch.setenv("FRESHET_HOME", str(home))

    def run(*command):
        result = CliRunner().invoke(app, ["features", *command])
        return result.exit_code, " ".join(result.output.split())

    assert "compared with the marts and equal" in run()[1]
    assert "user_recent_events: 3 rows compared and equal" in run("verify", "--all")[1]
    for file in (home / "feast").glob("online.db*"):
        file.unlink()
    from freshet.feature_store import apply

    apply(home)
    code, said = run("verify", "--all")
    assert (code, "user_activity_daily: 3 of 3 online rows differ" in said, "0 repaired" in said) == (1, True, True)
    assert "3 repaired" in run("verify", "--all", "--repair")[1]
    assert run("verify", "--all")[0] == 0
