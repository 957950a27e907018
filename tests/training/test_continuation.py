"""An update goes on from the champion with what came since; the world of the tests lived on for three weeks."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from freshet.settings import Settings

THEN = round(datetime(2026, 1, 18, tzinfo=UTC).timestamp() * 1e6)


@pytest.fixture(scope="module")
def whole(settings: Settings, small_config):
    from training.train import train

    return train(settings, replace(small_config, as_of=THEN))


@pytest.fixture(scope="module")
def update(settings: Settings, whole, small_config):
    from training.train import train

    return train(settings, replace(small_config, update_of=whole.version))


def artifact(settings: Settings, result, name):
    from training.tracking import read_json_artifact

    return read_json_artifact(settings.tracking_uri, result.run_id, name)


def test_an_update_keeps_every_choice(settings, whole, update):
    before, after = (artifact(settings, each, "continuation/choices.json") for each in (whole, update))
    assert before["curve"]
    assert after == {**before, "curve": []}  # nothing was validated
    assert not any(step.startswith("choose") for step in update.seconds)


def test_an_update_is_judged_on_events_that_neither_it_nor_the_champion_has_learned_from(settings, whole, update):
    from training.registry import get_version

    learned = get_version(settings.tracking_uri, whole.version).tags["data.until"]
    holdout = artifact(settings, update, "evaluation/table.json")["holdout"]
    assert holdout["after_us"] > round(datetime.fromisoformat(learned).timestamp() * 1e6)
    assert f"version {whole.version}'s bundle on the events after its training" in update.verdict.reason


def test_an_update_knows_what_it_went_on_from_and_can_be_gone_on_from(settings, whole, update, small_config):
    from training.continuation import continuation_of
    from training.registry import UPDATE_OF, get_version

    version = get_version(settings.tracking_uri, update.version)
    assert version.tags[UPDATE_OF] == str(whole.version)
    kept = continuation_of(settings, replace(small_config, update_of=update.version))
    assert kept.earlier is not None
    assert len(kept.earlier.item_ids) == kept.earlier.network.item_bias.shape[0]
    assert kept.learned_until == kept.earlier.fresh_after > THEN


def test_the_space_of_the_texts_stays_that_of_the_first_training(settings, whole, update):
    from training.bundle import load_bundle
    from training.registry import download, get_version

    first, second = (
        load_bundle(
            download(get_version(settings.tracking_uri, each.version), settings.models_dir)
        ).recommender.whitening
        for each in (whole, update)
    )
    assert (first.projection == second.projection).all()


def test_a_world_that_goes_on_as_it_was_has_not_drifted(settings, whole):
    from training.drift import drift_of
    from training.registry import get_version

    found = drift_of(settings, get_version(settings.tracking_uri, whole.version), seed=0)
    assert found.reason is None
    assert found.figures["fresh_ndcg_at_10"] > 0.1
    assert found.figures["unknown_items"] == 0
    assert 0 < found.figures["category_instability"] < 0.25


def test_without_anything_new_there_is_nothing_to_update(settings, update, small_config):
    from training.dataset import DatasetError
    from training.train import train

    with pytest.raises(DatasetError, match="nothing has happened since the version"):
        train(settings, replace(small_config, update_of=update.version))


def test_another_language_model_asks_for_a_whole_training(settings, whole, small_config):
    """The same files by the name of their folder: another model, as far as anybody can know."""
    from training.backbones import resolve_backbone
    from training.continuation import continuation_of
    from training.registry import RegistryError

    other = str(resolve_backbone("minilm").folder)
    with pytest.raises(RegistryError, match="their vectors have nothing in common, so train anew"):
        continuation_of(settings, replace(small_config, update_of=whole.version, text_backbone=other))
