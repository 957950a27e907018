from datetime import timedelta

import pytest

from ingestion.datasets.demo import live_days
from ingestion.ingest import ingest_dataset, world_config

N_LIVE = 4


@pytest.fixture
def whole_and_part(make_settings):
    """The same world, loaded whole, and loaded up to its newest days."""
    whole, part = make_settings("whole"), make_settings("part", demo_live_days=N_LIVE)
    for settings in (whole, part):
        ingest_dataset(settings, is_progress_shown=False)
    return whole, part


def event_ids(settings, ask):
    return {row[0] for row in ask(settings.lake_dir, "events", "event_id")}


def test_what_is_loaded_and_what_arrives_live_are_together_the_world(whole_and_part, ask):
    whole, part = whole_and_part
    live = {event["event_id"] for day in live_days(world_config(part), N_LIVE) for event in day}
    loaded = event_ids(part, ask)
    assert loaded and live
    assert loaded.isdisjoint(live)
    assert loaded | live == event_ids(whole, ask)


def test_each_day_brings_what_was_received_on_it_in_that_order(make_settings):
    settings = make_settings()
    config = world_config(settings)
    days = list(live_days(config, N_LIVE))
    assert len(days) == N_LIVE
    for number, day in enumerate(days, start=config.n_days - N_LIVE):
        midnight = config.start + timedelta(days=number)
        times = [event["received_at"] for event in day]
        assert times == sorted(times)
        assert midnight <= times[0] and times[-1] < midnight + timedelta(days=1)


def test_nothing_that_is_loaded_was_received_after_the_last_loaded_day(whole_and_part, ask):
    _, part = whole_and_part
    config = world_config(part)
    newest = ask(part.lake_dir, "events", "max(received_at)")[0][0]
    assert newest < config.start + timedelta(days=config.n_days - N_LIVE)


def test_the_same_days_arrive_again_in_the_same_words(make_settings):
    config = world_config(make_settings())
    assert list(live_days(config, 2)) == list(live_days(config, 2))
