"""The marts of `small_world/`, against figures worked out by hand."""

import json
import os
import shutil
from datetime import UTC, date, datetime
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet import dbt_project
from freshet.contract import Event
from freshet.dbt_project import (
    DbtError,
    build_marts,
    dbt_environment,
    docs_are_current,
    run_dbt,
    target_path,
    write_docs,
)
from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from ingestion.ingest import ingest_live_events

DAILY_MARTS = ("fct_user_activity_daily", "fct_item_popularity_daily")


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def rows(home, statement):
    """Ask the warehouse."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(statement).fetchall()


def read_manifest(home):
    """What dbt itself wrote when it last built."""
    return json.loads((target_path(home) / "manifest.json").read_text())


def export_bytes(home):
    return {path.name: path.read_bytes() for path in sorted((home / "features").glob("*.parquet"))}


@pytest.fixture(scope="module")
def rebuilt(built_home, tmp_path_factory):
    """The small world built a second time, unit tests included, while somebody reads an export."""
    home = tmp_path_factory.mktemp("rebuilt") / "home"
    shutil.copytree(built_home, home)
    everything = {name: value for name, value in dbt_environment(home).items() if name != "DBT_EXCLUDE_RESOURCE_TYPES"}
    with pytest.MonkeyPatch.context() as patch, (home / "features" / "dim_items.parquet").open("rb") as reader:
        patch.setattr(dbt_project, "dbt_environment", lambda _: everything)
        build_marts(home)
        inode = os.fstat(reader.fileno()).st_ino
        return SimpleNamespace(home=home, read_meanwhile=reader.read(), inode=inode)


def test_sessions_follow_occurrence_whenever_events_arrive(built_home):
    sessions = rows(
        built_home,
        "SELECT event_id, session_number, is_negative FROM fct_interactions "
        "WHERE user_id = 'ann' ORDER BY occurred_at, event_id",
    )
    assert sessions == [
        ("a1", 1, False),
        ("late", 1, False),
        ("a2", 1, False),  # 30 minutes after a1 is still the session
        ("a4", 2, False),
        ("a5", 2, True),
        ("a8", 3, False),
    ]


def test_popularity_has_a_row_for_each_day_on_which_it_changes(built_home):
    # i1 is met on the 1st (ann), the 2nd (zoë) and the 5th (ann); each leaves 1, 7 and 30 days later.
    popularity = rows(
        built_home,
        "SELECT popularity_date, n_interactions_1d, n_interactions_7d, n_interactions_30d, n_interactions_total "
        "FROM fct_item_popularity_daily WHERE item_id = 'i1' ORDER BY 1",
    )
    assert popularity == [
        (date(2025, 1, 1), 1, 1, 1, 1),
        (date(2025, 1, 2), 1, 2, 2, 2),
        (date(2025, 1, 3), 0, 2, 2, 2),
        (date(2025, 1, 5), 1, 3, 3, 3),
        (date(2025, 1, 6), 0, 3, 3, 3),
        (date(2025, 1, 8), 0, 2, 3, 3),
        (date(2025, 1, 9), 0, 1, 3, 3),
        (date(2025, 1, 12), 0, 0, 3, 3),
        (date(2025, 1, 31), 0, 0, 2, 3),
        (date(2025, 2, 1), 0, 0, 1, 3),
        (date(2025, 2, 4), 0, 0, 0, 3),
    ]


def test_an_item_that_was_only_hidden_is_not_popular(built_home):
    assert rows(built_home, "FROM fct_item_popularity_daily WHERE item_id = 'i4'") == []


def test_the_recent_events_of_a_user_are_their_state_as_of_now(built_home):
    states = rows(
        built_home,
        "SELECT event_timestamp, recent_event_ids, recent_values, seen_item_ids FROM fct_user_recent_events "
        "WHERE user_id = 'ann'",
    )
    assert states == [
        (
            utc(2025, 1, 5, 8),
            ["a1", "late", "a2", "a4", "a5", "a8"],
            [None, None, 4.5, None, None, None],
            ["i1", "i2", "i3", "i4", "i5"],
        ),
    ]


def test_a_full_state_keeps_the_newest_hundred_and_all_items_seen(built_home):
    [(event_ids, occurred_at, seen)] = rows(
        built_home,
        "SELECT recent_event_ids, recent_occurred_at, seen_item_ids FROM fct_user_recent_events WHERE user_id = 'max'",
    )
    assert event_ids == [f"m{n:03}" for n in range(5, 105)]
    assert occurred_at[0] == 1_735_819_500_000_000  # 2025-01-02 12:05
    assert seen == [f"x{n:03}" for n in range(105)]


def test_activity_counts_days_by_arrival(built_home):
    activity = rows(
        built_home,
        "SELECT activity_date, n_interactions_1d, n_interactions_total, n_active_days, last_interaction_at "
        "FROM fct_user_activity_daily WHERE user_id = 'ann' AND n_interactions_1d > 0 ORDER BY 1",
    )
    assert activity == [
        (date(2025, 1, 1), 4, 4, 1, utc(2025, 1, 1, 11)),  # to the second
        (date(2025, 1, 3), 1, 5, 2, utc(2025, 1, 1, 11)),  # the late view happened before
        (date(2025, 1, 5), 1, 6, 3, utc(2025, 1, 5, 8)),
    ]


def test_training_sequences_are_parallel_lists_in_the_one_order(built_home):
    [ann] = rows(
        built_home,
        "SELECT n_events, item_ids, event_types, event_values, received_at[2] "
        "FROM fct_training_sequences WHERE user_id = 'ann'",
    )
    assert ann == (
        6,
        ["i1", "i5", "i2", "i3", "i4", "i1"],
        ["view", "view", "rating", "click", "hide", "view"],
        [None, None, 4.5, None, None, None],
        utc(2025, 1, 3, 9),
    )
    assert rows(built_home, "SELECT user_id FROM fct_training_sequences ORDER BY 1") == [("ann",), ("max",), ("zoë",)]


def test_a_click_is_joined_to_the_impression_it_answers(built_home):
    found = rows(
        built_home,
        "SELECT event_id, impression_event_id, impression_rank FROM fct_interactions WHERE impression_rank IS NOT NULL",
    )
    assert found == [("z3", "z2", 2)]


def test_items_are_as_last_described_or_called_by_their_id(built_home):
    items = rows(
        built_home,
        "SELECT item_id, title, categories, price, attributes FROM dim_items "
        "WHERE item_id IN ('i1', 'blå-å') ORDER BY 1",
    )
    assert items == [
        ("blå-å", "blå-å", [], None, "{}"),
        ("i1", "Rivers of the north", ["nature"], 12.5, '{"year":1999}'),
    ]


def test_users_are_those_declared_and_those_seen(built_home):
    users = rows(built_home, "SELECT user_id, attributes FROM dim_users ORDER BY 1")
    assert users == [("ann", '{"city":"Ulm"}'), ("bob", "{}"), ("max", "{}"), ("zoë", "{}")]


def test_versions_say_what_was_known_of_an_item_at_each_moment(built_home):
    versions = rows(
        built_home,
        "SELECT item_id, title, valid_from, valid_to FROM dim_item_versions "
        "WHERE item_id IN ('i1', 'i4') ORDER BY item_id, valid_from",
    )
    assert versions == [
        ("i1", "The old title", utc(2024, 12, 1), utc(2024, 12, 2)),
        ("i1", "Rivers of the north", utc(2024, 12, 2), None),
        ("i4", "i4", utc(2025, 1, 1, 11, 0, 0, 1), None),  # known since ann hid it
    ]


def test_versions_say_what_was_known_of_a_user_at_each_moment(built_home):
    assert rows(built_home, "FROM dim_user_versions WHERE user_id IN ('ann', 'zoë') ORDER BY 1") == [
        ("ann", '{"city":"Ulm"}', utc(2024, 11, 1), utc(2024, 11, 1), None),
        ("zoë", "{}", None, utc(2025, 1, 2), None),
    ]


def test_tags_are_the_users_own_words(built_home):
    assert rows(built_home, "SELECT event_id, item_id, user_id, tag FROM fct_item_tags") == [
        ("a6", "i1", "ann", "schön")
    ]


def test_every_landed_row_is_accounted_for(built_home):
    counts = rows(
        built_home,
        "SELECT record_type, n_landed, n_accepted, n_duplicate, n_rejected FROM fct_ingestion_counts ORDER BY 1",
    )
    assert counts == [("event", 119, 117, 1, 1), ("item", 110, 110, 0, 0), ("user", 1, 1, 0, 0)]


def test_a_rebuild_replaces_the_exports_by_the_same_bytes(built_home, rebuilt):
    assert export_bytes(rebuilt.home) == export_bytes(built_home)
    # who reads meanwhile reads the old file to its end
    assert rebuilt.read_meanwhile == (built_home / "features" / "dim_items.parquet").read_bytes()
    assert rebuilt.inode != (rebuilt.home / "features" / "dim_items.parquet").stat().st_ino


def test_the_unit_tests_of_the_models_pass(rebuilt):
    results = json.loads((rebuilt.home / "dbt" / "target" / "run_results.json").read_text())["results"]
    unit_tests = {result["unique_id"]: result["status"] for result in results if "unit_test" in result["unique_id"]}
    assert set(unit_tests) == set(read_manifest(rebuilt.home)["unit_tests"])
    assert set(unit_tests.values()) == {"pass"}


@pytest.fixture(scope="module")
def later(built_home, tmp_path_factory):
    """The small world some days later, with an event from the past and one from a client whose clock runs ahead."""
    home = tmp_path_factory.mktemp("later") / "home"
    shutil.copytree(built_home, home)
    backfilled = live_event("l1", "ann", occurred_at=utc(2025, 1, 1, 10, 5), received_at=utc(2025, 1, 8, 12))
    from_ahead = live_event("l2", "zoë", occurred_at=utc(2025, 1, 9, 0, 2), received_at=utc(2025, 1, 8, 23, 59))
    settings = Settings(home=home)
    log = SqliteEventLog(settings.log_path)
    log.append([backfilled, from_ahead])
    log.close()
    ingest_live_events(settings, until=utc(2025, 1, 9))
    build_marts(home)
    return home


def live_event(event_id, user_id, occurred_at, received_at):
    return Event(
        event_id=event_id,
        event_type="view",
        user_id=user_id,
        item_id="i2",
        occurred_at=occurred_at,
        received_at=received_at,
    )


@pytest.mark.parametrize("mart", DAILY_MARTS)
def test_what_arrives_later_changes_nothing_that_was_known_before(built_home, later, mart):
    before, after = (
        pq.read_table(home / "features" / f"{mart}.parquet", filters=[("event_timestamp", "<=", utc(2025, 1, 6))])
        for home in (built_home, later)
    )
    assert before.num_rows > 0
    assert after.equals(before)


def test_an_event_counts_from_when_it_has_happened_and_is_known(later):
    states = rows(
        later,
        "SELECT user_id, event_timestamp, recent_event_ids FROM fct_user_recent_events "
        "WHERE event_timestamp > '2025-01-06' ORDER BY 1",
    )
    assert states == [
        ("ann", utc(2025, 1, 8, 12), ["a1", "l1", "late", "a2", "a4", "a5", "a8"]),
        ("zoë", utc(2025, 1, 9, 0, 2), ["z1", "z3", "l2"]),
    ]


def test_live_events_are_accounted_for_beside_the_dataset(later):
    counts = rows(
        later,
        "SELECT source, n_landed, n_accepted FROM fct_ingestion_counts WHERE record_type = 'event' ORDER BY 1",
    )
    assert counts == [("files", 119, 117), ("live", 2, 2)]


def test_a_failing_test_keeps_the_old_exports(later):
    before = export_bytes(later)
    [ledger] = (later / "lake" / "ingestions").glob("files-*.parquet")
    true_ledger, lines = ledger.read_bytes(), pq.read_table(ledger, partitioning=None)
    claims = pa.array([n + 1 for n in lines["n_accepted"].to_pylist()])
    pq.write_table(lines.set_column(lines.column_names.index("n_accepted"), "n_accepted", claims), ledger)
    with pytest.raises(DbtError, match="its output names the model or test that failed"):
        run_dbt(later, ["build", "--select", "+fct_ingestion_counts"])
    ledger.write_bytes(true_ledger)
    assert export_bytes(later) == before


def test_an_empty_lake_is_refused_with_the_next_step(tmp_path):
    with pytest.raises(DbtError, match="is empty: run `freshet ingest` first"):
        build_marts(tmp_path)


def test_the_docs_describe_every_model_and_column_and_lead_to_the_endpoint(later):
    assert not docs_are_current(later)
    page = write_docs(later)
    assert docs_are_current(later)
    assert "recommendations_endpoint" in page.read_text()

    manifest = read_manifest(later)
    catalog = json.loads((page.parent / "catalog.json").read_text())
    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    assert set(models) == set(catalog["nodes"])
    for key, model in models.items():
        described = {name for name, column in model["columns"].items() if column["description"]}
        assert model["description"], key
        assert described == set(catalog["nodes"][key]["columns"]), key
        assert all(column["description"] for column in model["columns"].values()), key
