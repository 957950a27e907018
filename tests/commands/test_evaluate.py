from typing import get_args

from typer.testing import CliRunner

from commands.evaluate import ProtocolName
from commands.main import app
from training.protocols import PROTOCOLS


def test_every_protocol_can_be_asked_for():
    assert set(get_args(ProtocolName)) == set(PROTOCOLS)


def test_without_marts_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    answered = CliRunner().invoke(app, ["evaluate", "--protocol", "global"])
    assert answered.exit_code == 1
    assert "freshet transform" in answered.stderr


def test_another_protocol_is_refused_with_the_names():
    answered = CliRunner().invoke(app, ["evaluate", "--protocol", "random"])
    assert answered.exit_code == 2
    assert "leave-one-out" in answered.stderr
