"""Trials share a study, are resumed, and change what trainings read only where they are better."""

import json
from dataclasses import replace

import numpy as np
import pytest

from training import search as module
from training.config import ConfigError, load_config
from training.hyperparameters import FILE, Found, found_settings
from training.search import USUAL, Search, SearchError
from training.sequence_network import SequenceConfig


@pytest.fixture
def search(world_settings, small_config, tmp_path) -> Search:
    made = Search.of(world_settings, replace(small_config, epochs=1))
    return replace(made, settings=world_settings.model_copy(update={"home": tmp_path / "home"}), folder=tmp_path)


@pytest.fixture
def small_trials(monkeypatch, world_settings):
    """Trials of the small world take a second; reading its marts is that of the home that has them."""
    monkeypatch.setattr(module, "read_marts", lambda _, as_of: READ(world_settings.features_dir, as_of))


READ = module.read_marts


@pytest.mark.usefixtures("small_trials")
def test_a_finished_trial_is_not_repeated_and_slots_differ(search):
    values = [search.run_trial(slot) for slot in (USUAL, 1, 2)]
    assert [search.run_trial(slot) for slot in (USUAL, 1, 2)] == values
    trials = search.study().get_trials()
    assert len(trials) == 3
    assert trials[USUAL].params == module.usual_params()
    assert trials[1].params != trials[2].params


@pytest.mark.usefixtures("small_trials")
def test_a_killed_trial_goes_on_with_the_same_settings_from_its_last_epoch(search, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            search.run_trial(1)
    (left,) = search.study().get_trials()
    checkpoint = (search.slot_folder(1) / "checkpoint.json").read_text()
    search.run_trial(1)
    (done,) = search.study().get_trials()
    assert done.params == left.params
    assert (done.state.name, left.state.name) == ("COMPLETE", "RUNNING")
    assert (search.slot_folder(1) / "checkpoint.json").read_text() == checkpoint  # its one epoch was not trained again


def told(search: Search, slot: int, ndcg: list[float], **params):
    """A trial with these values for four users."""
    import optuna

    search.slot_folder(slot).mkdir()
    np.savez(search.slot_folder(slot) / "ndcg.npz", ndcg=np.array(ndcg), user=np.arange(4))
    search.study().add_trial(
        optuna.trial.create_trial(
            params={**module.usual_params(), **params},
            distributions=module.distributions(),
            value=float(np.mean(ndcg)),
            user_attrs={"slot": slot},
        )
    )


def test_a_trial_that_is_better_for_every_user_wins_and_is_what_trainings_read(search, monkeypatch):
    told(search, USUAL, [0.1, 0.2, 0.3, 0.4])
    told(search, 1, [0.2, 0.3, 0.4, 0.5], embedding_size=128, dropout=0.2)
    found = search.conclude()
    assert found.sequence == replace(SequenceConfig(), embedding_size=128, dropout=0.2)
    assert "the best is better" in found.reason
    assert search.conclude() == found  # and no second run in MLflow
    monkeypatch.setenv("FRESHET_HOME", str(search.settings.home))
    _, config = load_config()
    assert config.sequence == found.sequence


def test_a_trial_that_is_better_for_some_users_only_changes_nothing(search):
    told(search, USUAL, [0.1, 0.2, 0.3, 0.4])
    told(search, 1, [0.9, 0.0, 0.3, 0.4], embedding_size=128)
    found = search.conclude()
    assert found.sequence == SequenceConfig()
    assert "none is better" in found.reason


def test_nothing_is_concluded_without_the_usual_settings(search):
    told(search, 1, [0.2, 0.3, 0.4, 0.5])
    with pytest.raises(SearchError, match="usual settings"):
        search.conclude()


def test_without_a_sequence_head_there_is_nothing_to_search(world_settings, small_config):
    with pytest.raises(SearchError, match="leaves the sequence head out"):
        Search.of(world_settings, replace(small_config, epochs=0))


def test_settings_of_another_freshet_are_refused_with_what_to_do(tmp_path, monkeypatch):
    Found(SequenceConfig(), "why", "run").save(tmp_path / "models")
    assert found_settings(tmp_path / "models") == Found(SequenceConfig(), "why", "run")
    path = tmp_path / "models" / FILE
    path.write_text(json.dumps({"sequence": {"width": 3}, "reason": "", "run_id": ""}))
    monkeypatch.setenv("FRESHET_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="delete it, or run search_hyperparameters"):
        load_config()
