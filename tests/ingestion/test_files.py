"""People's own files, in three formats, with what they may leave out and what they get wrong."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.balance import accounts
from ingestion.datasets.adapter import DatasetError
from ingestion.datasets.files import open_files
from ingestion.ingest import ingest, ingest_dataset, rehearse
from ingestion.lake import Lake
from ingestion.lake_schema import RecordType

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


CLICK = {"event_type": "click", "user_id": "u1", "item_id": "a"}


def bring(settings, **texts):
    """Ingest files as the command does: events=…, items=…, users=…"""
    given = {kind: str(texts[kind.folder]) for kind in RecordType if kind.folder in texts}
    return ingest(settings, open_files(given, None, settings.lake_dir))


def clicks(path, *days, **changes):
    write_jsonl(path, [CLICK | changes | {"occurred_at": f"2025-05-{day:02d}T10:00:00Z"} for day in days])
    return path


def test_a_folder_or_a_pattern_names_many_files(tmp_path, settings, ask):
    (tmp_path / "all").mkdir()
    clicks(tmp_path / "all" / "may-1.jsonl", 1)
    clicks(tmp_path / "all" / "may-2.jsonl", 2, 3)
    report = bring(settings, events=tmp_path / "all")
    assert report.counts[0].n_accepted == 3
    assert bring(settings, events=tmp_path / "all" / "may-*.jsonl") == report
    files = ask(settings.lake_dir, "events", "source_file, count(*)", "GROUP BY 1 ORDER BY 1")
    assert files == [("may-1.jsonl", 1), ("may-2.jsonl", 2)]


def test_compressed_files_are_read_as_they_are(tmp_path, settings):
    with gzip.open(tmp_path / "clicks.csv.gz", "wt") as file:
        file.write("event_type,user_id,item_id,occurred_at\nview,u1,a,2025-05-01T00:00Z\n")
    assert bring(settings, events=tmp_path / "clicks.csv.gz").counts[0].n_accepted == 1
    (tmp_path / "torn.csv.gz").write_bytes((tmp_path / "clicks.csv.gz").read_bytes()[:40])
    with pytest.raises(DatasetError, match=r"torn\.csv\.gz is not a whole gzip file"):
        bring(settings, events=tmp_path / "torn.csv.gz")


@pytest.mark.parametrize("names", [[], ["a.txt"], ["a.csv", "b.jsonl"]])
def test_files_of_no_or_two_formats_are_refused(names, tmp_path, settings):
    (tmp_path / "all").mkdir()
    for name in names:
        (tmp_path / "all" / name).write_text("")
    with pytest.raises(DatasetError, match=r"all (is no file, no folder with|is not of one format)"):
        bring(settings, events=tmp_path / "all")


def test_a_mapping_beside_the_events_is_used(tmp_path, settings, ask):
    (tmp_path / "events.csv").write_text("who,what,when\nu1,a,1746093600\n")
    (tmp_path / "mapping.yaml").write_text(
        "events: {columns: {user_id: who, item_id: what, occurred_at: when}, constants: {event_type: view}, "
        "epoch: seconds}"
    )
    ingest_dataset(settings, str(tmp_path))
    assert ask(settings.lake_dir, "events", "user_id, occurred_at::varchar") == [("u1", "2025-05-01 10:00:00+00")]


def test_a_second_month_joins_the_same_world(tmp_path, settings, ask):
    write_jsonl(tmp_path / "items.jsonl", [{"item_id": "a", "title": "Ball"}])
    bring(settings, events=clicks(tmp_path / "may.jsonl", 1, 2), items=tmp_path / "items.jsonl")
    report = bring(settings, events=clicks(tmp_path / "june.jsonl", 30), items=tmp_path / "items.jsonl")
    assert [(part.n_accepted, part.n_duplicate) for part in report.counts[:2]] == [(1, 0), (0, 1)]
    report = bring(settings, events=clicks(tmp_path / "july.jsonl", 31, item_id="b"))
    assert ask(settings.lake_dir, "items", "item_id, title", "ORDER BY 1") == [("a", "Ball"), ("b", "b")]


def test_a_corrected_file_brings_only_what_was_mended(tmp_path, settings, ask):
    rows = [CLICK | {"occurred_at": f"2025-05-0{day}T10:00:00Z"} for day in (1, 2, 3)]
    write_jsonl(tmp_path / "may.jsonl", [rows[0], rows[1] | {"user_id": ""}, rows[2] | {"event_type": "clik"}])
    first = bring(settings, events=tmp_path / "may.jsonl")
    write_jsonl(tmp_path / "may.jsonl", rows)
    second = bring(settings, events=tmp_path / "may.jsonl")
    counts = [
        (part.n_landed, part.n_accepted, part.n_duplicate, part.n_rejected)
        for part in (first.counts[0], second.counts[0])
    ]
    assert counts == [(3, 1, 0, 2), (3, 2, 1, 0)]
    assert ask(settings.lake_dir, "events", "count(DISTINCT event_id)") == [(3,)]
    assert ask(settings.lake_dir, "rejects", "count(*)") == [(2,)]
    assert [
        (account.landed, account.accepted, account.duplicates, account.rejected)
        for account in accounts(Lake(settings.lake_dir))
    ] == [(7, 4, 1, 2)]  # the item named a is the seventh


def test_a_changed_description_is_known_after_all_that_went_before(tmp_path, settings, ask):
    events, items = clicks(tmp_path / "may.jsonl", 1, 20), tmp_path / "items.jsonl"
    for title in ("Ball", "Red ball", "Round ball"):
        write_jsonl(items, [{"item_id": "a", "title": title}, {"item_id": "b", "title": "Kite"}])
        bring(settings, events=events, items=items)
    versions = ask(settings.lake_dir, "items", "item_id, title, updated_at::varchar", "ORDER BY 1, 3")
    assert versions == [
        ("a", "Ball", "2025-05-01 10:00:00+00"),
        ("a", "Red ball", "2025-05-20 10:00:00+00"),
        ("a", "Round ball", "2025-05-20 10:00:00.000001+00"),
        ("b", "Kite", "2025-05-01 10:00:00+00"),
    ]


def test_older_events_find_their_items_described(tmp_path, settings, ask):
    write_jsonl(tmp_path / "items.jsonl", [{"item_id": "a", "title": "Ball"}])
    for day in (20, 1):
        bring(settings, events=clicks(tmp_path / f"{day}.jsonl", day), items=tmp_path / "items.jsonl")
    versions = ask(settings.lake_dir, "items", "title, updated_at::varchar", "ORDER BY 2")
    assert versions == [("Ball", "2025-05-01 10:00:00+00"), ("Ball", "2025-05-20 10:00:00+00")]


def test_a_catalogue_alone_needs_a_home_with_events(tmp_path, settings):
    items = tmp_path / "items.jsonl"
    write_jsonl(items, [{"item_id": "a", "title": "Ball", "updated_at": "2025-05-01T10:00:00Z"}])
    with pytest.raises(DatasetError, match="there are no events in it"):
        bring(settings, items=items)
    bring(settings, events=clicks(tmp_path / "may.jsonl", 1))
    assert bring(settings, items=items).counts[1].n_accepted == 1


def test_a_dry_run_counts_as_the_ingestion_would_and_writes_nothing(tmp_path, settings, files_in):
    rows = [CLICK | {"occurred_at": f"2025-05-0{day}T10:00:00Z"} for day in (1, 2, 3)]
    bring(settings, events=clicks(tmp_path / "old.jsonl", 1))
    before = files_in(settings.home)
    write_jsonl(tmp_path / "may.jsonl", [*rows, CLICK | {"occurred_at": "soon"}, CLICK | {"occurred_at": "later"}])
    given = {RecordType.EVENT: str(tmp_path / "may.jsonl")}
    rehearsal = rehearse(settings, open_files(given, None, settings.lake_dir))
    assert files_in(settings.home) == before
    assert rehearsal.counts == bring(settings, events=tmp_path / "may.jsonl").counts
    assert list(rehearsal.reasons.values()) == [2]
