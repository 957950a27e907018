import pytest

from training.config import ConfigError, TrainConfig, load_config


def test_a_form_stands_above_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    monkeypatch.setenv("FRESHET_SEED", "5")
    monkeypatch.setenv("FRESHET_TRAIN_EPOCHS", "3")
    monkeypatch.setenv("FRESHET_TRAIN_BUDGET_MINUTES", "2.5")
    settings, config = load_config({"epochs": 9, "text_backbone": None})
    assert (config.epochs, config.seed, config.text_backbone, config.budget_minutes) == (9, 5, "minilm", 2.5)
    assert settings.home == tmp_path


def test_an_unknown_name_is_refused_with_a_guess():
    with pytest.raises(ConfigError, match="training has no 'epoch': did you mean epochs"):
        load_config({"epoch": 3})


@pytest.mark.parametrize("name", ["epochs", "seed"])
def test_negative_numbers_are_refused(name: str):
    with pytest.raises(ConfigError, match=f"{name} is -1"):
        TrainConfig(**{name: -1})


def test_the_key_stands_for_configuration_and_data():
    config = TrainConfig()
    assert config.key("a") == TrainConfig().key("a")
    assert len({config.key("a"), config.key("b"), TrainConfig(seed=1).key("a")}) == 3
