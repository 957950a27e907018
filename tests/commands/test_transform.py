import pytest

from commands.transform import transform


def test_an_empty_home_is_one_sentence_and_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as exit_:
        transform()
    assert exit_.value.code == 1
    assert f"{tmp_path / 'lake'} is empty: run `freshet ingest` first" in capsys.readouterr().err
