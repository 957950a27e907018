"""A mapping says what other people's columns mean; a slip in it is one sentence that names the key."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.datasets.adapter import DatasetError, RowError
from ingestion.datasets.files import open_files
from ingestion.datasets.mapping import RecordMapping, RecordReader, read_mapping
from ingestion.ingest import ingest
from ingestion.lake_schema import RecordType

ORDERS = """receipt,line,customer,sku,sold_at,pieces,action,till
1,1,7,A-1,02/05/2025 10:00,2,buy,3
1,2,7,B-2,02/05/2025 10:00,1,buy,3
2,1,8,A-1,02/12/2025 10:00,1,look,
"""
PRODUCTS = 'sku;name;shelf;colour\n"A-1";Ball;toys > red;red\n"B-2";Kite;toys;\n'
SHOP = """
events:
  columns: {user_id: customer, item_id: sku, occurred_at: sold_at, value: pieces, event_type: action}
  values: {event_type: {buy: purchase, look: view}}
  timezone: Europe/London
  time_format: "%d/%m/%Y %H:%M"
  id_from: [receipt, line]
  rest: properties
items:
  columns: {item_id: sku, title: name, categories: shelf}
  constants: {is_available: true}
  separator: ">"
  rest: attributes
"""


@pytest.fixture
def shop(tmp_path):
    """A folder with a shop's export and the mapping for it."""
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "products.csv").write_text(PRODUCTS.replace(";", ","))
    (tmp_path / "shop.yaml").write_text(SHOP)
    return tmp_path


def open_shop(shop, settings):
    given = {RecordType.EVENT: str(shop / "orders.csv"), RecordType.ITEM: str(shop / "products.csv")}
    return open_files(given, shop / "shop.yaml", settings.lake_dir)


def test_a_shop_becomes_events_and_items(shop, settings, ask):
    report = ingest(settings, open_shop(shop, settings))
    assert [(part.n_landed, part.n_accepted) for part in report.counts] == [(3, 3), (2, 2), (0, 0)]
    columns = "event_type, user_id, item_id, value, occurred_at::varchar, properties"
    assert ask(settings.lake_dir, "events", columns, "ORDER BY ALL") == [
        ("purchase", "7", "A-1", 2.0, "2025-05-02 09:00:00+00", '{"till":"3"}'),  # British summer time
        ("purchase", "7", "B-2", 1.0, "2025-05-02 09:00:00+00", '{"till":"3"}'),
        ("view", "8", "A-1", 1.0, "2025-12-02 10:00:00+00", "{}"),
    ]
    columns = "item_id, title, categories, is_available, attributes"
    assert ask(settings.lake_dir, "items", columns, "ORDER BY 1") == [
        ("A-1", "Ball", ["toys", "red"], True, '{"colour":"red"}'),
        ("B-2", "Kite", ["toys"], True, "{}"),
    ]


def test_rows_with_the_same_identity_count_once(shop, settings):
    (shop / "orders.csv").write_text(ORDERS + "1,2,7,B-2,03/05/2025 10:00,9,buy,4\n,3,7,B-2,03/05/2025 10:00,9,buy,4\n")
    events = ingest(settings, open_shop(shop, settings)).counts[0]
    assert (events.n_accepted, events.n_duplicate, events.n_rejected) == (3, 1, 1)


def test_times_that_cannot_be_read_are_rejected_in_the_mappings_terms(shop, settings, ask):
    (shop / "orders.csv").write_text(ORDERS + "3,1,8,A-1,2025-05-02,1,buy,\n")
    ingest(settings, open_shop(shop, settings))
    [(line, reason, raw)] = ask(settings.lake_dir, "rejects", "source_line, reason, raw")
    assert (line, reason) == (5, "occurred_at: not a time as %d/%m/%Y %H:%M (got '2025-05-02')")
    assert json.loads(raw)["sold_at"] == "2025-05-02"


def test_a_column_of_the_contracts_name_needs_no_line():
    reader = RecordReader(RecordMapping(columns={"item_id": "sku"}), RecordType.EVENT)
    raw = {"user_id": "u", "sku": "a", "occurred_at": "2025-05-01T10:00:00Z", "colour": "red"}
    assert reader.record(raw) == {"user_id": "u", "item_id": "a", "occurred_at": datetime(2025, 5, 1, 10, tzinfo=UTC)}


def test_a_place_within_an_object_is_named_with_dots():
    mapping = RecordMapping(columns={"user_id": "customer.id", "item_id": "line.sku.code"}, rest="properties")
    raw = {"customer": {"id": "7"}, "line": {"sku": {"code": "A-1"}}, "till": 3}
    assert RecordReader(mapping, RecordType.EVENT).record(raw) == {
        "user_id": "7",
        "item_id": "A-1",
        "properties": {"till": 3},
    }
    assert RecordReader(mapping, RecordType.EVENT).record({"customer": "7"})["user_id"] is None


@pytest.mark.parametrize(
    ("epoch", "written", "microsecond"),
    [("seconds", 1_000_000_000, 0), ("seconds", "1000000000.5", 500_000), ("milliseconds", 1_000_000_000_007, 7_000)],
)
def test_numbers_count_from_1970(epoch, written, microsecond):
    reader = RecordReader(RecordMapping(epoch=epoch), RecordType.EVENT)
    expected = datetime(2001, 9, 9, 1, 46, 40, microsecond, tzinfo=UTC)
    assert reader.record({"occurred_at": written})["occurred_at"] == expected


@given(st.one_of(st.text(max_size=20), st.floats(), st.integers(), st.booleans()))
def test_any_value_is_a_time_or_a_reason(value):
    for mapping in (RecordMapping(epoch="seconds"), RecordMapping(time_format="%Y"), RecordMapping(timezone="UTC")):
        try:
            RecordReader(mapping, RecordType.EVENT).record({"occurred_at": value})
        except RowError as reason:
            assert str(reason).startswith("occurred_at: not a time as ")


def test_words_that_yaml_takes_for_something_else_are_words(tmp_path):
    (tmp_path / "m.yaml").write_text("events: {values: {event_type: {1: view, yes: like, true: play}}}")
    reader = RecordReader(read_mapping(tmp_path / "m.yaml").events, RecordType.EVENT)
    assert reader.record({"event_type": 1})["event_type"] == "view"
    assert reader.record({"event_type": "yes"})["event_type"] == "like"
    assert reader.record({"event_type": True})["event_type"] == "play"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("event: {}", r"event is no key of a mapping: did you mean events\?"),
        ("events: {column: {}}", r"events\.column is no key of a mapping: did you mean columns\?"),
        ("events: {columns: {usr_id: x}}", r"events\.columns\.usr_id is no field of an event: did you mean user_id\?"),
        ("items: {constants: {event_type: x}}", r"items\.constants\.event_type is no field of an item: known are item"),
        ("events: {timezone: London}", r"events\.timezone: 'London' is no time zone.*Europe/London"),
        ("events: {epoch: hours}", r"events\.epoch: .*'seconds'.*got 'hours'"),
        ("events: {epoch: seconds, time_format: x}", r"events: epoch and time_format exclude each other"),
        ("events: {rest: attributes}", r"events\.rest can only be properties"),
        ("items: {id_from: [sku]}", r"items\.id_from is for events alone"),
        ("events: [", r"cannot be read: while parsing"),
        ("- events", r"the whole: .*valid dictionary"),
    ],
)
def test_a_slip_in_the_mapping_is_named(text, sentence, tmp_path):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(DatasetError, match=rf"the mapping .*m\.yaml:? {sentence}"):
        read_mapping(tmp_path / "m.yaml")


def test_a_column_that_the_file_lacks_is_named(shop, settings):
    (shop / "shop.yaml").write_text(SHOP.replace("user_id: customer", "user_id: custmer"))
    with pytest.raises(DatasetError, match=r"orders\.csv has no column 'custmer', which the mapping names.*customer\?"):
        open_shop(shop, settings)
