from datetime import UTC, datetime

import duckdb
import mlflow

from training import registry
from training.retraining import data_until, retraining_reason, trained_until
from training.tracking import log_bundle, training_run

MONDAYS = "0 3 * * 1"
SUNDAY, MONDAY, TUESDAY = (datetime(2026, 3, day, 12, tzinfo=UTC) for day in (8, 9, 10))


def reason(trained: datetime | None, data: datetime, *, requested: bool = False, has_champion: bool = True):
    return retraining_reason(
        requested=requested, has_champion=has_champion, trained_until=trained, data_until=data, schedule=MONDAYS
    )


def test_without_a_champion_there_is_a_reason():
    assert reason(SUNDAY, SUNDAY, has_champion=False) == "there is no champion yet"


def test_events_from_after_a_tick_make_retraining_due():
    assert reason(SUNDAY, TUESDAY) == (
        "due since 2026-03-09 03:00 (0 3 * * 1): the newest version has learned from events until 2026-03-08 12:00"
    )


def test_a_version_that_has_learned_since_the_tick_is_left_alone():
    assert reason(MONDAY, TUESDAY) is None


def test_before_the_tick_new_events_are_no_reason():
    assert reason(datetime(2026, 3, 2, 12, tzinfo=UTC), SUNDAY) is None


def test_a_version_that_does_not_say_what_it_learned_is_retrained():
    assert "learned from events until nobody knows when" in reason(None, TUESDAY)


def test_a_person_who_asks_needs_no_other_reason():
    assert reason(TUESDAY, TUESDAY, requested=True) == "a person asked for it"


def test_the_newest_event_is_that_of_the_exported_marts(tmp_path):
    path = tmp_path / "fct_training_sequences.parquet"
    times = "(timestamptz '2026-03-08 01:00:00+01'), (timestamptz '2026-03-07 23:00:00+00')"
    duckdb.sql(f"copy (select list(t.occurred_at) as occurred_at from (values {times}) as t(occurred_at)) to '{path}'")
    assert data_until(tmp_path) == datetime(2026, 3, 8, tzinfo=UTC)


def test_what_versions_have_learned_from_is_what_their_runs_say(tracking_uri, small_bundle):
    assert trained_until(tracking_uri) is None
    for end in ("2026-03-08T12:00:00+00:00", "2026-03-01T12:00:00+00:00"):
        with training_run(tracking_uri, "training") as run:
            mlflow.set_tag("data.until", end)
            log_bundle(tracking_uri, run.info.run_id, small_bundle)
        registry.register_run(tracking_uri, run.info.run_id)
    assert trained_until(tracking_uri) == SUNDAY
