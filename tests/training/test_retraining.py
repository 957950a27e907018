from datetime import UTC, datetime

import duckdb
import mlflow
import pytest

from training import registry
from training.retraining import (
    MIN_FRESH_EVENTS,
    Learned,
    data_until,
    events_after,
    learned_until,
    training_reason,
    version_to_update,
)
from training.tracking import log_bundle, training_run

MONDAYS, EVERY_NIGHT = "0 3 * * 1", "0 3 * * *"
SUNDAY, MONDAY, TUESDAY = (datetime(2026, 3, day, 12, tzinfo=UTC) for day in (8, 9, 10))


def reason(learned, data, *, whole=None, has_champion=True, n_fresh_events=MIN_FRESH_EVENTS):
    return training_reason(
        has_champion=has_champion,
        learned=Learned(whole or learned, learned),
        data_until=data,
        n_fresh_events=n_fresh_events,
        retrain_schedule=MONDAYS,
        update_schedule=EVERY_NIGHT,
    )


def test_without_a_champion_there_is_a_reason():
    found = reason(SUNDAY, SUNDAY, has_champion=False)
    assert (found.text, found.is_update) == ("there is no champion yet", False)


def test_events_from_after_a_tick_make_a_whole_training_due():
    found = reason(SUNDAY, TUESDAY)
    assert not found.is_update
    assert found.text == (
        "due since 2026-03-09 03:00 (0 3 * * 1): the newest version has learned from events until 2026-03-08 12:00"
    )


def test_updates_do_not_put_off_the_whole_training():
    assert reason(MONDAY, TUESDAY, whole=SUNDAY).text.startswith("due since 2026-03-09 03:00")


def test_between_whole_trainings_each_night_is_a_reason_for_an_update():
    found = reason(MONDAY, TUESDAY)
    assert found.is_update
    assert found.text == (
        "update due since 2026-03-10 03:00 (0 3 * * *): the newest version has learned from events until "
        "2026-03-09 12:00, and 400 events are new to the champion"
    )


def test_too_few_events_to_be_judged_on_are_no_reason_for_an_update():
    assert reason(MONDAY, TUESDAY, n_fresh_events=MIN_FRESH_EVENTS - 1) is None


def test_a_version_that_has_learned_since_the_tick_is_left_alone():
    assert reason(TUESDAY, TUESDAY) is None


def test_a_version_that_does_not_say_what_it_learned_is_trained_anew():
    assert "learned from events until nobody knows when" in reason(None, TUESDAY).text


def test_only_a_champion_can_be_updated(tracking_uri):
    with pytest.raises(registry.RegistryError, match="there is no champion to update: run `freshet train` first"):
        version_to_update(tracking_uri)


def test_events_are_counted_from_the_exported_marts(tmp_path):
    path = tmp_path / "fct_training_sequences.parquet"
    times = "(timestamptz '2026-03-08 12:00:00+00'), (timestamptz '2026-03-08 12:00:01+00')"
    duckdb.sql(f"copy (select list(t.occurred_at) as occurred_at from (values {times}) as t(occurred_at)) to '{path}'")
    assert [events_after(tmp_path, moment) for moment in (None, SUNDAY, MONDAY)] == [2, 1, 0]


def test_the_newest_event_is_that_of_the_exported_marts(tmp_path):
    path = tmp_path / "fct_training_sequences.parquet"
    times = "(timestamptz '2026-03-08 01:00:00+01'), (timestamptz '2026-03-07 23:00:00+00')"
    duckdb.sql(f"copy (select list(t.occurred_at) as occurred_at from (values {times}) as t(occurred_at)) to '{path}'")
    assert data_until(tmp_path) == datetime(2026, 3, 8, tzinfo=UTC)


def test_what_versions_have_learned_from_is_what_their_runs_say(tracking_uri, small_bundle):
    assert learned_until(tracking_uri) == Learned(None, None)
    for end, tags in ((MONDAY, {registry.UPDATE_OF: "1"}), (SUNDAY, {}), (datetime(2026, 3, 1, tzinfo=UTC), {})):
        with training_run(tracking_uri, "training") as run:
            mlflow.set_tags({"data.until": end.isoformat(), **tags})
            log_bundle(tracking_uri, run.info.run_id, small_bundle)
        registry.register_run(tracking_uri, run.info.run_id)
    assert learned_until(tracking_uri) == Learned(whole=SUNDAY, any=MONDAY)
