"""Settings are right or refused by name, with the next step."""

import os
import re

import pytest

from freshet.contract import EVENT_WEIGHTS, INTERACTION_TYPES
from freshet.dbt_vars import dbt_vars
from freshet.settings import PREFIX, PROJECT_ROOT, Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """A folder without .env, and an environment without settings."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_need_nothing(tmp_path):
    settings = load_settings()
    assert settings.home == tmp_path / "var"
    assert settings.dataset == "demo"
    assert settings.lake_dir == tmp_path / "var" / "lake"


def test_environment_and_env_file_are_read(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("FRESHET_SEED=7\nFRESHET_API_PORT=9001\n")
    monkeypatch.setenv("FRESHET_API_PORT", "9002")
    assert (load_settings().seed, load_settings().api_port) == (7, 9002)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRESHET_SEED", "-1"),
        ("FRESHET_SEED", "one"),
        ("FRESHET_DEMO_USERS", "9"),
        ("FRESHET_API_PORT", "65536"),
        ("FRESHET_CHAMPION_POLL_SECONDS", "0"),
        ("FRESHET_INGEST_SCHEDULE", "hourly"),
        ("FRESHET_RETRAIN_SCHEDULE", "61 * * * *"),
        ("FRESHET_MAINTENANCE_SCHEDULE", "* * * * * *"),
        ("FRESHET_EVENT_WEIGHTS", "like"),
        ("FRESHET_EVENT_WEIGHTS", "[1]"),
    ],
)
def test_an_invalid_value_names_its_setting(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name}: .*{re.escape(value)}"):
        load_settings()


def test_a_wrong_secret_is_refused_without_being_shown(monkeypatch):
    monkeypatch.setenv("FRESHET_ALERT_WEBHOOK_URL", "hooks.example.com/s3cret")
    with pytest.raises(SettingsError, match=r"^FRESHET_ALERT_WEBHOOK_URL: .*valid URL") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


def test_a_secret_is_not_shown_by_the_settings_either(monkeypatch):
    monkeypatch.setenv("FRESHET_ALERT_WEBHOOK_URL", "https://hooks.example.com/s3cret")
    assert "s3cret" not in repr(load_settings()) + str(load_settings().model_dump())
    assert str(load_settings().alert_webhook_url.get_secret_value()) == "https://hooks.example.com/s3cret"


@pytest.mark.parametrize("name", ["FRESHET_ALERT_WEBHOOK_URL", "FRESHET_OPENLINEAGE_URL"])
def test_an_empty_address_is_none(name, monkeypatch):
    monkeypatch.setenv(name, "")
    assert getattr(load_settings(), name.removeprefix(PREFIX).lower()) is None


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ('{"search": 2}', "only interactions have weights, and search is none"),
        ('{"like": 1e9}', "a weight is a number between -1000 and 1000"),
        ('{"adore": 2}', "Input should be"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights, reason, monkeypatch):
    monkeypatch.setenv("FRESHET_EVENT_WEIGHTS", weights)
    with pytest.raises(SettingsError, match=f"^FRESHET_EVENT_WEIGHTS: .*{reason}"):
        load_settings()


def test_configured_event_weights_replace_those_of_the_contract_one_by_one(monkeypatch):
    monkeypatch.setenv("FRESHET_EVENT_WEIGHTS", '{"like": 4}')
    assert dbt_vars()["event_weights"] == {**EVENT_WEIGHTS, "like": 4.0}
    assert set(EVENT_WEIGHTS) == INTERACTION_TYPES


def test_an_address_for_everybody_needs_keys(monkeypatch):
    monkeypatch.setenv("FRESHET_API_HOST", "0.0.0.0")
    with pytest.raises(SettingsError, match=r"'0\.0\.0\.0' is not a loopback address.* set FRESHET_API_AUTH=keys"):
        load_settings()
    monkeypatch.setenv("FRESHET_API_AUTH", "keys")
    assert load_settings().api_host == "0.0.0.0"


@pytest.mark.parametrize(
    ("name", "hint"), [("FRESHET_HOEM", "did you mean FRESHET_HOME?"), ("FRESHET_XYZZY", "see .env.example")]
)
def test_an_unknown_name_is_refused_with_a_hint(name, hint, monkeypatch):
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=rf"^{name} is not a setting of Freshet: {re.escape(hint)}"):
        load_settings()


def test_an_unknown_name_in_the_env_file_is_refused(tmp_path):
    (tmp_path / ".env").write_text("FRESHET_PORT=1\n")
    with pytest.raises(SettingsError, match="FRESHET_PORT is not a setting"):
        load_settings()


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().seed = 1


def test_every_setting_is_described():
    source = (PROJECT_ROOT / "freshet" / "settings.py").read_text()
    for name in Settings.model_fields:
        assert re.search(rf'\n    {name}: [^\n]+\n    """', source), f"{name} has no description"


def test_the_example_shows_real_defaults():
    lines = (PROJECT_ROOT / ".env.example").read_text().splitlines()
    for name, value in (line.lstrip("# ").split("=", 1) for line in lines if "FRESHET_" in line and "=" in line):
        default = Settings.model_fields[name.removeprefix(PREFIX).lower()].default
        assert value == ("" if default is None else str(default)), name
