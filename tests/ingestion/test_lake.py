"""The lake loses nothing and counts nothing twice, whatever arrives in whatever order, and whoever interrupts it."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freshet.contract import Event, Item, User
from ingestion.lake import Lake, WorldError
from ingestion.lake_schema import LEDGER_SCHEMA, REJECTS_SCHEMA, TIMESTAMP, RecordType, lake_schema
from ingestion.landing import RawBatch, RawRow

START = datetime(2025, 3, 1, tzinfo=UTC)


def row(number: int, days: int, late: int = 0, user: str = "u1") -> dict:
    """An event that happened on some day and arrived some days later."""
    occurred_at = START + timedelta(days=days, minutes=number)
    event = {"event_id": f"e{number}", "event_type": "view", "user_id": user, "item_id": "i1"}
    return event | {"occurred_at": occurred_at, "received_at": occurred_at + timedelta(days=late)}


def ingest(lake: Lake, ingestion_id: str, events: list[dict], items: tuple[dict, ...] = ()):
    with lake.ingestion("test", "a world of tests") as ingestion:
        for kind, records in ((RecordType.EVENT, events), (RecordType.ITEM, items)):
            if records:
                rows = [RawRow(line, record) for line, record in enumerate(records, start=1)]
                ingestion.staging.land(RawBatch(kind, f"{kind}s.jsonl", rows))
        return ingestion.commit(ingestion_id)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def test_columns_are_the_contract_and_the_origin():
    origin = ["source", "source_file", "source_line", "ingestion_id"]
    assert lake_schema(RecordType.EVENT).names == [*Event.model_fields, *origin]
    assert lake_schema(RecordType.ITEM).names == [*Item.model_fields, "received_at", *origin]
    assert lake_schema(RecordType.USER).names == [*User.model_fields, "received_at", *origin]
    events, items = lake_schema(RecordType.EVENT), lake_schema(RecordType.ITEM)
    assert events.field("occurred_at").type == TIMESTAMP
    assert events.field("properties").type == pa.string()
    assert items.field("categories").type == pa.list_(pa.string())
    assert items.field("is_available").type == pa.bool_()


def test_every_folder_can_be_read_after_the_first_ingestion(lake, ask):
    ingest(lake, "first", [row(1, 0)])
    for folder, schema in (("items", lake_schema(RecordType.ITEM)), ("rejects", REJECTS_SCHEMA)):
        assert ask(lake.folder, folder, "count(*)") == [(0,)]
        file = next((lake.folder / folder).glob("*/*.parquet"))
        assert pq.read_schema(file).names == schema.names
    assert pq.read_schema(lake.folder / "ingestions" / "first.parquet").names == LEDGER_SCHEMA.names


def test_a_row_arrives_whole(lake, ask):
    properties = {"b": [1, None], "a": {"ü": True}}
    ingest(lake, "first", [row(1, 0, late=2) | {"value": 0.1, "text": "so «good» 🎬", "properties": properties}])
    happened = START + timedelta(minutes=1)
    arrived = happened + timedelta(days=2)
    what, when = "event_type, value, text, properties", "occurred_at, received_at, received_date"
    assert ask(lake.folder, "events", what) == [("view", 0.1, "so «good» 🎬", '{"a":{"ü":true},"b":[1,null]}')]
    assert ask(lake.folder, "events", when) == [(happened, arrived, arrived.date())]
    assert ask(lake.folder, "events", "source, source_file, source_line") == [("test", "events.jsonl", 1)]


def test_the_first_of_two_events_with_one_id_counts(lake, ask):
    first = ingest(lake, "first", [row(1, 0, user="u1"), row(1, 0, user="u2")])
    second = ingest(lake, "second", [row(1, 5, user="u3"), row(2, 0)])
    assert [(part.n_landed, part.n_accepted, part.n_duplicate) for part in (first.counts[0], second.counts[0])] == [
        (2, 1, 1),
        (2, 1, 1),
    ]
    assert ask(lake.folder, "events", "event_id, user_id", "ORDER BY 1") == [("e1", "u1"), ("e2", "u1")]


def test_an_item_is_a_duplicate_only_when_it_says_nothing_new(lake):
    item = {"item_id": "i1", "title": "One", "updated_at": START}
    entry = ingest(
        lake,
        "first",
        [row(1, 0)],
        (item, item, item | {"title": "Uno"}, item | {"updated_at": row(1, 1)["occurred_at"]}),
    )
    items = entry.counts[1]
    assert (items.n_landed, items.n_accepted, items.n_duplicate) == (4, 3, 1)
    again = ingest(lake, "second", [row(2, 0)], (item,))
    assert again.counts[1].n_duplicate == 1


def test_rejects_keep_the_row_and_the_reason(lake, ask):
    unreadable = row(2, 1) | {"received_at": "soon"}
    wrong = row(3, 2) | {"event_type": "teleport", "value": float("nan")}
    ingest(lake, "first", [row(1, 4), unreadable, wrong, row(4, 0) | {"text": "half \ud83c"}])
    found = ask(lake.folder, "rejects", "source_line, received_date::varchar, reason, raw", "ORDER BY 1")
    assert [(line, day) for line, day, _, _ in found] == [(2, "2025-03-05"), (3, "2025-03-03"), (4, "2025-03-01")]
    assert "received_at: Input should be a valid datetime" in found[0][2]
    assert (
        "event_type: Input should be 'view'" in found[1][2] and "value: Input should be a finite number" in found[1][2]
    )
    assert "text: Input should be a valid string" in found[2][2]
    assert '"event_type":"teleport"' in found[1][3]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.lists(
            st.builds(row, st.integers(0, 12), st.integers(0, 3), st.integers(0, 2), st.sampled_from(["u1", "u2", ""])),
            max_size=15,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_counts_add_up_for_any_arrivals(batches):
    with tempfile.TemporaryDirectory() as folder:
        lake, again = Lake(Path(folder) / "lake"), Lake(Path(folder) / "again")
        entries = [ingest(lake, f"part-{number}", batch) for number, batch in enumerate(batches)]
        events = [entry.counts[0] for entry in entries]
        assert [part.n_landed for part in events] == [len(batch) for batch in batches]
        assert all(part.n_landed == part.n_accepted + part.n_duplicate + part.n_rejected for part in events)
        landed = [event for batch in batches for event in batch]
        usable = [event for event in landed if event["user_id"]]
        first = {event["event_id"]: event for event in reversed(usable)}
        stored = read_all(lake)
        assert sum(part.n_rejected for part in events) == len(landed) - len(usable)
        assert sorted(event["event_id"] for event in stored) == sorted(first)
        for event in stored:
            assert event["user_id"] == first[event["event_id"]]["user_id"]
            assert event["received_at"] == first[event["event_id"]]["received_at"]

        for number, batch in enumerate(batches):
            ingest(again, f"part-{number}", batch)
        assert contents(again.folder) == contents(lake.folder)


def test_the_order_of_rows_leaves_no_trace(tmp_path):
    events = [row(number, number % 3, late=number % 2) for number in range(50)]
    there, back = Lake(tmp_path / "there"), Lake(tmp_path / "back")
    ingest(there, "all", [event | {"text": "x"} for event in events])
    ingest(back, "all", [event | {"text": "x"} for event in reversed(events)])
    ids = [[event["event_id"] for event in read_all(lake)] for lake in (there, back)]
    assert ids[0] == ids[1]


def test_what_an_interrupted_ingestion_left_is_swept_away(lake):
    """Killed between moving files and writing the ledger: the files are there, but nobody knows of them."""
    ingest(lake, "first", [row(1, 0)])
    ingest(lake, "second", [row(2, 0), row(3, 1)])
    whole = contents(lake.folder)
    (lake.folder / "ingestions" / "second.parquet").unlink()
    (lake.folder / ".staging").mkdir()
    (lake.folder / ".staging" / "events.parquet").write_bytes(b"half")
    assert lake.entry("second") is None
    entry = ingest(lake, "second", [row(2, 0), row(3, 1)])
    assert entry.counts[0].n_accepted == 2
    assert contents(lake.folder) == whole


def test_a_failing_ingestion_leaves_the_lake_as_it_was(lake):
    ingest(lake, "first", [row(1, 0)])
    before = contents(lake.folder)
    with pytest.raises(ZeroDivisionError), lake.ingestion("test") as ingestion:
        ingestion.staging.land(RawBatch(RecordType.EVENT, "events", [RawRow(1, row(2, 0))]))
        raise ZeroDivisionError
    assert contents(lake.folder) == before


def test_one_home_holds_one_world(lake):
    ingest(lake, "first", [row(1, 0)])
    with (
        pytest.raises(WorldError, match=r"already holds a world of tests, so another cannot.*FRESHET_HOME.*make clean"),
        lake.ingestion("other", "another"),
    ):
        pass


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def read_all(lake: Lake) -> list[dict]:
    return [
        event
        for path in sorted((lake.folder / "events").glob("*/*.parquet"))
        for event in pq.ParquetFile(path).read().to_pylist()
    ]
