"""The marts about users, items and the data itself, in `small_world/`, against figures worked out by hand."""

from datetime import UTC, date, datetime

import duckdb


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def rows(home, statement):
    """Ask the exports, each by its mart's name."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for path in (home / "features").glob("*.parquet"):
            connection.execute(f"CREATE VIEW {path.stem} AS FROM '{path}'")
        return connection.execute(statement).fetchall()


def test_a_profile_holds_habits_likings_and_words(built_home):
    # ann: a view (1), a late view (1), a rating (2), a click (1), a hide (−3) and a view (1): 9 signs aside. Only i1
    # has a category; she viewed it twice. Pauses: 10:30 to 11:00 and a microsecond, then 3 d 21 h.
    [ann] = rows(
        built_home,
        "SELECT event_timestamp, n_interactions, n_negative, n_active_days, n_sessions, median_session_seconds, "
        "median_pause_seconds, categories, category_affinities, top_item_ids, top_item_weights, texts "
        "FROM fct_user_profiles WHERE user_id = 'ann'",
    )
    assert ann == (
        utc(2025, 1, 5, 8),
        6,
        1,
        2,
        3,
        0.0,
        (1800.000001 + 334799.999999) / 2,
        ["nature"],
        [2 / 9],
        ["i1", "i2", "i3", "i5"],
        [2.0, 2.0, 1.0, 1.0],
        ["flod", "schön"],
    )


def test_who_only_searches_has_a_profile_of_words(built_home):
    assert rows(
        built_home, "SELECT n_interactions, last_interaction_at, texts FROM fct_user_profiles WHERE user_id = 'bob'"
    ) == [(0, None, ["river"])]


def test_an_item_that_was_shown_and_clicked_has_a_rate(built_home):
    # i1: viewed twice by ann, clicked by zoë as she was shown it. The newest day known is the 5th.
    assert rows(
        built_home,
        "SELECT n_interactions, n_users, n_impressions, click_through_rate, conversion_rate, age_days "
        "FROM fct_item_statistics WHERE item_id = 'i1'",
    ) == [(3, 2, 1, 1.0, 0.0, 35)]


def test_neighbours_were_met_in_one_session(built_home):
    # zoë bought blå-å and clicked i1 within two minutes; i1 was met in three sessions, blå-å in one.
    assert rows(
        built_home, "SELECT neighbour_id, round(similarity, 4) FROM fct_item_neighbours WHERE item_id = 'blå-å'"
    ) == [("i1", 0.5774)]


def test_a_crawl_makes_neighbours_of_its_first_items_only(built_home):
    # max views x000 to x104 in one go
    assert rows(built_home, "SELECT count(*), max(neighbour_id) FROM fct_item_neighbours WHERE item_id = 'x000'") == [
        (19, "x019")
    ]
    assert rows(built_home, "FROM fct_item_neighbours WHERE item_id = 'x020'") == []


def test_rejects_are_counted_by_reason_with_an_example(built_home):
    [(record_type, reason, n_rejected, file, line)] = rows(
        built_home, "SELECT record_type, reason, n_rejected, example_file, example_line FROM fct_reject_reasons"
    )
    assert (record_type, n_rejected, file, line) == ("event", 1, "events.jsonl", 14)
    assert reason == "item_id is missing: only a search has none, and this is a view"


def test_health_shows_the_late_the_rejected_and_the_duplicate_on_the_day_they_came(built_home):
    assert rows(
        built_home,
        "SELECT arrival_date, days_since_previous, n_events, n_late_events, n_duplicates, n_rejected, max_lag_seconds "
        "FROM fct_pipeline_health ORDER BY arrival_date",
    ) == [
        (date(2025, 1, 1), None, 6, 0, 0, 0, 0.0),
        (date(2025, 1, 2), 1, 109, 0, 0, 1, 0.0),
        (date(2025, 1, 3), 1, 1, 1, 0, 0, 168_600.0),  # a view of the 1st, 10:10
        (date(2025, 1, 5), 2, 1, 0, 1, 0, 0.0),  # the ingestion ended here
    ]
