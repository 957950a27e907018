import pytest

from commands.features import features


def test_a_home_without_marts_is_one_sentence_and_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as exit_:
        features()
    assert exit_.value.code == 1
    assert "does not exist: run `freshet transform` first" in capsys.readouterr().err
