from datetime import UTC, datetime, timedelta

from training.retraining import retraining_reason

NOW = datetime(2026, 3, 10, tzinfo=UTC)


def test_without_a_champion_there_is_a_reason():
    assert retraining_reason(None, NOW, requested=False) == "there is no champion yet"


def test_a_young_champion_is_left_alone():
    assert retraining_reason(NOW - timedelta(days=6, hours=23), NOW, requested=False) is None


def test_a_champion_of_a_week_is_retrained():
    reason = retraining_reason(NOW - timedelta(days=7), NOW, requested=False)
    assert reason == "new events arrived and the champion is 7 days old"


def test_a_person_who_asks_needs_no_other_reason():
    assert retraining_reason(NOW, NOW, requested=True) == "a person asked for it"
