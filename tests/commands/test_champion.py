"""`freshet promote` and `freshet rollback` on a registry of two versions; the gate's own tests are elsewhere."""

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from commands.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def register(run, register_evaluated):
    """Logs a version that reaches a quality, beside popularity at .02, and registers it."""
    from freshet.settings import load_settings

    uri = load_settings().tracking_uri

    def log(quality: float) -> int:
        users = [f"u{number}" for number in range(40)]
        columns = {"recommender": quality, "popularity": 0.02, "popularity_7d": 0.01}
        rows = [
            {
                "user_id": user,
                "model": model,
                "slice": "all",
                "n_events": 10,
                "ndcg_at_10": value * (1 + place % 3 / 10),
            }
            for model, value in columns.items()
            for place, user in enumerate(users)
        ]
        return register_evaluated(uri, pa.Table.from_pylist(rows))

    return log


def test_versions_are_promoted_refused_overruled_and_put_back(run, register):
    assert register(0.05) == 1
    promoted = run("promote")
    assert promoted.exit_code == 0, promoted.output
    assert promoted.stdout.startswith("version 1 is champion: the first champion; popularity: +150.0%")

    assert register(0.04) == 2
    refused = run("promote", "2")
    assert refused.exit_code == 1
    assert "version 2 is not promoted: may be worse than the champion: -20.0%" in refused.stderr

    overruled = run("promote", "--because", "it knows the new shelf")
    assert overruled.exit_code == 0
    assert overruled.stdout.startswith("version 2 is champion: a person overruled the gate: it knows the new shelf; ")

    back = run("rollback")
    assert back.exit_code == 0
    assert back.stdout == "version 1 is champion: rolled back from version 2\n"


def test_without_versions_both_say_so_in_one_sentence(run):
    for command in ("promote", "rollback"):
        result = run(command)
        assert result.exit_code == 1
        assert result.stderr.startswith("freshet: freshet-recommender has no ")
        assert result.stderr.count("\n") == 1
