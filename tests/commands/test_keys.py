"""`freshet keys`: a key is shown once, listed without its secret, and revoked."""

import re

import pytest
from typer.testing import CliRunner

from commands.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, ["keys", *arguments])


def test_a_key_is_made_listed_and_revoked(run):
    made = run("create", "shop", "--scope", "events:write", "--scope", "recommend:read", "--rate", "5")
    key_id, secret = re.fullmatch(r"freshet_(\w{8})_(\S{43})\n", made.stdout).groups()
    listed = run("list").stdout
    assert all(word in listed for word in (key_id, "shop", "events:write, recommend:read", "5"))
    assert secret not in listed
    assert run("revoke", key_id).exit_code == 0
    again = run("revoke", key_id)
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)


def test_an_unknown_scope_is_refused_with_those_there_are(run):
    refused = run("create", "shop", "--scope", "everything")
    assert refused.exit_code == 1
    assert "'everything' is no scope: choose from events:write" in refused.stderr
