"""People's own files, in three formats, with what they may leave out and what they get wrong."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.datasets.adapter import DatasetError
from ingestion.ingest import ingest_dataset

EVENTS = [
    {"event_id": "e1", "event_type": "purchase", "user_id": "7", "item_id": "42", "value": 2.5, "text": None}
    | {"occurred_at": "2025-05-01T10:00:00+02:00", "received_at": "2025-05-02T00:00:00Z", "properties": {"till": 3}},
    {"event_id": "e2", "event_type": "search", "user_id": "7", "item_id": None, "value": None, "text": "red, round"}
    | {"occurred_at": "2025-05-01T09:00:00Z", "received_at": None, "properties": None},
]
ITEMS = [
    {"item_id": "42", "title": "Ball", "categories": ["toys", "red"], "price": 9.5, "is_available": True}
    | {"attributes": {"size": "L"}, "updated_at": "2025-01-01T00:00:00Z"},
]
OBJECTS = ("properties", "attributes")


def write_csv(path, rows):
    """Nothing is an empty field; lists are a|b and objects JSON."""

    def text(name, value):
        return "|".join(value) if isinstance(value, list) else json.dumps(value) if name in OBJECTS and value else value

    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({name: text(name, value) for name, value in row.items()} for row in rows)


def write_parquet(path, rows):
    """Ids as whole numbers, times as times, objects as JSON text: what other tools like to write."""
    table = pa.Table.from_pylist(
        [
            {name: json.dumps(value) if name in OBJECTS and value else value for name, value in row.items()}
            for row in rows
        ]
    )
    for name in ("user_id", "item_id"):
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
    pq.write_table(table, path)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


WRITERS = {".csv": write_csv, ".parquet": write_parquet, ".jsonl": write_jsonl}


@pytest.mark.parametrize("suffix", WRITERS)
def test_three_formats_say_the_same(suffix, tmp_path, settings, ask):
    folder = tmp_path / "own"
    folder.mkdir()
    WRITERS[suffix](folder / f"events{suffix}", EVENTS)
    WRITERS[suffix](folder / f"items{suffix}", ITEMS)
    report = ingest_dataset(settings, str(folder))
    assert [(part.n_landed, part.n_accepted) for part in report.counts] == [(2, 2), (1, 1), (0, 0)]
    columns = (
        "event_id, event_type, user_id, item_id, occurred_at::varchar, received_at::varchar, value, text, properties"
    )
    assert ask(settings.lake_dir, "events", columns, "ORDER BY event_id") == [
        ("e1", "purchase", "7", "42", "2025-05-01 08:00:00+00", "2025-05-02 00:00:00+00", 2.5, None, '{"till":3}'),
        ("e2", "search", "7", None, "2025-05-01 09:00:00+00", "2025-05-01 09:00:00+00", None, "red, round", "{}"),
    ]
    assert ask(settings.lake_dir, "items", "item_id, title, categories, price, is_available, attributes") == [
        ("42", "Ball", ["toys", "red"], 9.5, True, '{"size":"L"}')
    ]


def test_one_file_is_enough(tmp_path, settings, ask):
    rows = "event_type,user_id,item_id,occurred_at\nview,u1,b,2025-05-02T00:00Z\nview,u1,a,2025-05-01T00:00Z\n"
    (tmp_path / "clicks.csv").write_text(rows)
    ingest_dataset(settings, str(tmp_path / "clicks.csv"))
    columns = "item_id, title, available_from::varchar, updated_at::varchar"
    first = "2025-05-01 00:00:00+00"
    assert ask(settings.lake_dir, "items", columns, "ORDER BY 1") == [
        ("a", "a", first, first),
        ("b", "b", first, first),
    ]


def test_equal_rows_without_an_id_count_once(tmp_path, settings):
    row = "view,u1,a,2025-05-01T00:00Z\n"
    (tmp_path / "clicks.csv").write_text("event_type,user_id,item_id,occurred_at\n" + row * 2 + row.replace("u1", "u2"))
    events = ingest_dataset(settings, str(tmp_path / "clicks.csv")).counts[0]
    assert (events.n_landed, events.n_accepted, events.n_duplicate) == (3, 2, 1)


def test_items_without_a_time_are_as_old_as_the_first_event(tmp_path, settings, ask):
    (tmp_path / "events.csv").write_text("event_type,user_id,item_id,occurred_at\nview,u1,a,2025-05-01T00:00Z\n")
    (tmp_path / "items.csv").write_text('item_id,title,tags,attributes\na,A,"[""x"", ""y""]","{""k"": 1}"\nb,B,,\n')
    ingest_dataset(settings, str(tmp_path))
    columns = "item_id, tags, attributes, updated_at::varchar"
    assert ask(settings.lake_dir, "items", columns, "ORDER BY 1") == [
        ("a", ["x", "y"], '{"k":1}', "2025-05-01 00:00:00+00"),
        ("b", [], "{}", "2025-05-01 00:00:00+00"),
    ]


def test_bad_lines_become_rejects_with_their_line(tmp_path, settings, ask):
    good = json.dumps(EVENTS[0])
    lines = [
        good,
        "{not json",
        "[1]",
        "",
        json.dumps(EVENTS[0] | {"event_id": "e9", "extra": 1}),
        good.replace("e1", "e 1"),
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    report = ingest_dataset(settings, str(tmp_path / "events.jsonl"))
    assert (report.counts[0].n_landed, report.counts[0].n_accepted) == (5, 1)
    reasons = dict(ask(settings.lake_dir, "rejects", "source_line, reason"))
    assert set(reasons) == {2, 3, 5, 6}
    assert "not JSON" in reasons[2] and "not a JSON object" in reasons[3]
    assert (
        "extra: Extra inputs are not permitted" in reasons[5] and "event_id: String should match pattern" in reasons[6]
    )


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"occurred_at": "2025-05-01 10:00:00"}, "occurred_at: Input should have timezone info"),
        ({"occurred_at": "0001-01-01T00:00:00+09:00"}, "out of range"),
        ({"occurred_at": "9999-12-31T23:59:59-09:00"}, "out of range"),
        ({"occurred_at": None}, "occurred_at: Input should be a valid datetime"),
        ({"value": float("inf")}, "value: Input should be a finite number"),
        ({"properties": [1]}, "properties: Input should be a valid dictionary"),
        ({"item_id": None}, "item_id is missing"),
        ({"received_at": "2025-04-30T00:00:00Z"}, "check the sender's clock"),
    ],
)
def test_each_mistake_is_named(event, reason, tmp_path, settings, ask):
    write_jsonl(tmp_path / "events.jsonl", [EVENTS[0], EVENTS[0] | {"event_id": "bad"} | event])
    ingest_dataset(settings, str(tmp_path / "events.jsonl"))
    [(found,)] = ask(settings.lake_dir, "rejects", "reason")
    assert reason in found


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, r"holds no events: give a folder with one of events\.parquet, events\.csv, events\.jsonl"),
        ({"events.csv": ""}, r"no column 'event_type'"),
        (
            {"events.csv": "event_type,user,occurred_at\n"},
            r"has a column 'user' that no event has: did you mean user_id\?",
        ),
        ({"events.csv": "event_type,occurred_at\n"}, r"has no column 'user_id', which every event needs"),
        ({"events.csv": "event_type,user_id,occurred_at\n"}, r"there are no events in it"),
        ({"events.parquet": "PAR2"}, r"events\.parquet is not a Parquet file"),
        ({"events.csv": "", "events.jsonl": ""}, r"has both events\.csv and events\.jsonl"),
    ],
)
def test_unusable_files_are_refused_by_name(files, sentence, tmp_path, settings):
    (tmp_path / "own").mkdir()
    for name, text in files.items():
        (tmp_path / "own" / name).write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        ingest_dataset(settings, str(tmp_path / "own"))
