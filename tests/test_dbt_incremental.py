"""Building the marts as ingestions arrive, in whatever order, gives what building them at once gives."""

import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from freshet.contract import Event
from freshet.dbt_project import run_dbt
from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from ingestion.ingest import ingest_live_events
from ingestion.lake import Lake
from ingestion.lake_schema import RecordType
from ingestion.landing import RawBatch, RawRow

START = datetime(2025, 1, 1, tzinfo=UTC)
USERS, ITEMS, LISTS = ("ann", "bob", "zoë"), ("i1", "i2", "i3", "blå"), ("r1", "r2")
MINUTES = st.one_of(st.integers(0, 200), st.integers(0, 45 * 24 * 60))
"""Close together, so that sessions meet; or far apart, so that windows pass."""


@st.composite
def events(draw):
    """An event as a client sends it, on time, late, or from a clock that runs ahead."""
    occurred_at = START + timedelta(minutes=draw(MINUTES))
    received_at = occurred_at + timedelta(minutes=draw(st.sampled_from([0, 0, 0, -4, 90, 3_000])))
    kinds = [
        "view",
        "click",
        "purchase",
        "purchase",
        "rating",
        "hide",
        "impression",
        "impression",
        "tag",
        "search",
        "erasure",
    ]
    kind = draw(st.sampled_from(kinds))
    record = {
        "event_type": kind,
        "user_id": draw(st.sampled_from(USERS)),
        "item_id": draw(st.sampled_from(ITEMS)),
        "occurred_at": occurred_at,
        "received_at": received_at,
        "recommendation_id": draw(st.sampled_from([None, *LISTS])),
    }
    if kind in ("purchase", "rating"):
        record["value"] = draw(st.sampled_from([-1, 1, 4.5]))  # a purchase of −1 is a return
        record["properties"] = draw(st.sampled_from([{}, {"reverses": ["e1", "e2"]}]))
    if kind in ("tag", "search"):
        record["text"] = draw(st.sampled_from(["schön", "old"]))
    if kind == "impression":
        record["properties"] = {"rank": draw(st.integers(1, 9))}
    return record


@st.composite
def descriptions(draw):
    """What a catalogue says of an item, in any order of time."""
    return {
        "item_id": draw(st.sampled_from(ITEMS[:2])),
        "title": draw(st.sampled_from(["Tea", "i1"])),
        "categories": draw(st.sampled_from([[], ["drinks"], ["drinks", "green"]])),
        "updated_at": START + timedelta(days=draw(st.integers(0, 40))),
    }


@st.composite
def arrivals(draw):
    """Three ingestions of events with ids, of which some come again later, and a changing catalogue."""
    happened = draw(st.lists(events(), min_size=20, max_size=50))
    parts: list[list[dict]] = [[], [], []]
    for number, event in enumerate(happened):
        first = draw(st.integers(0, 2))
        parts[first].append({"event_id": f"e{number}", **event})
        if draw(st.integers(0, 9)) == 0:
            parts[draw(st.integers(first, 2))].append({"event_id": f"e{number}", **event})
    items = [[draw(descriptions())] for _ in range(3)]
    return list(zip(parts, items, strict=True))


def ingest(home: Path, number: int, happened: list[dict], items: list[dict]) -> None:
    with Lake(home / "lake").ingestion("files") as ingestion:
        for kind, records in ((RecordType.EVENT, happened), (RecordType.ITEM, items)):
            rows = [RawRow(line, record) for line, record in enumerate(records, start=1)]
            ingestion.staging.land(RawBatch(kind, f"{kind}s-{number}", rows))
        ingestion.commit(f"part-{number}")


def contents(home: Path) -> dict[str, list[tuple]]:
    """All rows of every table that dbt made, in one order."""
    with duckdb.connect(str(Settings(home=home).warehouse_path), read_only=True) as warehouse:
        warehouse.execute("SET TimeZone = 'UTC'")
        tables = "SELECT table_name FROM duckdb_tables() WHERE table_name <> 'processed_ingestions' ORDER BY 1"
        names = [name for (name,) in warehouse.execute(tables).fetchall()]
        return {name: warehouse.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in names}


# A build takes seconds: few examples, and none made smaller when it fails.
@settings(max_examples=2, phases=[Phase.generate])
@given(arrivals())
def test_any_sequence_of_builds_gives_what_one_build_from_nothing_gives(tmp_path_factory, parts):
    home = tmp_path_factory.mktemp("home")
    for number, (happened, items) in enumerate(parts):
        ingest(home, number, happened, items)
        run_dbt(home, ["run", "--quiet"])
    step_by_step = contents(home)
    run_dbt(home, ["run", "--quiet", "--full-refresh"])
    at_once = contents(home)
    assert set(step_by_step) == set(at_once) > {"fct_interactions", "fct_training_sequences"}
    for name, rows in at_once.items():
        assert step_by_step[name] == rows, name


@pytest.fixture(scope="module")
def built_twice(built_home, tmp_path_factory):
    """The small world, and a build in which nothing is new."""
    home = tmp_path_factory.mktemp("twice") / "home"
    shutil.copytree(built_home, home)
    before = contents(home)
    run_dbt(home, ["run", "--quiet"])
    return before, contents(home)


def test_a_build_without_news_changes_nothing(built_twice):
    before, after = built_twice
    assert before == after


def of_user(home: Path, user_id: str) -> dict[str, int]:
    """How many rows each table of what people did, staging apart, has of a user."""
    with duckdb.connect(str(Settings(home=home).warehouse_path), read_only=True) as warehouse:
        tables = (
            "SELECT table_name FROM duckdb_columns() WHERE column_name = 'user_id' AND NOT internal"
            " AND table_name NOT LIKE 'stg%' AND table_name <> 'int_users_erased'"
        )
        names = [name for (name,) in warehouse.execute(tables).fetchall()]
        count = "SELECT count(*) FROM {} WHERE user_id = ?"
        return {name: warehouse.execute(count.format(name), [user_id]).fetchall()[0][0] for name in names}


def test_the_next_build_leaves_an_erased_user_out_of_every_mart(built_home, tmp_path):
    """Ann of the small world is erased. An event of before arrives late; the one of afterwards is another user's."""
    settings = Settings(home=tmp_path / "home")
    shutil.copytree(built_home, settings.home)
    ann_before, zoe_before = of_user(settings.home, "ann"), of_user(settings.home, "zoë")
    assert ann_before["fct_interactions"] > 1
    erased_at = datetime(2025, 6, 1, tzinfo=UTC)
    told = [("erasure", 0, 0), ("view", -60, 10), ("view", 20, 20)]
    with closing(SqliteEventLog(settings.log_path)) as log:
        log.append(
            [
                Event(
                    event_id=f"e{number}",
                    event_type=event_type,
                    user_id="ann",
                    item_id=None if event_type == "erasure" else "i1",
                    occurred_at=erased_at + timedelta(minutes=occurred),
                    received_at=erased_at + timedelta(minutes=received),
                )
                for number, (event_type, occurred, received) in enumerate(told)
            ]
        )
    ingest_live_events(settings, erased_at + timedelta(days=1))
    run_dbt(settings.home, ["build", "--quiet"])
    after = of_user(settings.home, "ann")
    assert after["fct_interactions"] == 1
    # One view counts within 1, 7 and 30 days, and then only ever.
    assert {name: n for name, n in after.items() if n > 1} == {"fct_user_activity_daily": 4}
    assert of_user(settings.home, "zoë") == zoe_before
