"""MovieLens as GroupLens publishes it: the real folder where there is one, else a small one with the same dirt."""

import hashlib
import http.server
import os
import threading
import zipfile
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from freshet.settings import Settings
from ingestion.datasets import movielens
from ingestion.datasets.adapter import DatasetError
from ingestion.datasets.original_files import OriginalFiles
from ingestion.ingest import ingest_dataset
from ingestion.lake_schema import RecordType

REAL = {
    "events": 100_836 + 3_683,
    "items": 9_742,
    "users": 610,
    "ratings": 100_836,
    "tags": 3_683,
    "without_genre": 34,
    "without_year": 13 - 1,  # "(2006–2007)" is no "(year)", but 2006 is its year
    "shared_titles": 5,
    "without_tmdb": 8,
    "never_rated": 18,
    "first_event_at": datetime(1996, 3, 29, 18, 36, 55, tzinfo=UTC),
}
SMALL = {
    "events": 7,
    "items": 8,
    "users": 2,
    "ratings": 5,
    "tags": 2,
    "without_genre": 1,
    "without_year": 1,
    "shared_titles": 1,
    "without_tmdb": 1,
    "never_rated": 4,
    "first_event_at": datetime(1996, 3, 29, 18, 36, 55, tzinfo=UTC),
}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory, write_movielens):
    """(lake, report, expected counts) of the MovieLens at hand."""
    home, folder = tmp_path_factory.mktemp("movielens"), Path(os.environ.get("FRESHET_DATASETS_DIR", "datasets"))
    is_real = movielens.SMALL.find(folder) is not None
    if not is_real:
        folder = home / "datasets"
        write_movielens(folder / "ml-latest-small")
    settings = Settings(home=home, datasets_dir=folder)
    return settings.lake_dir, ingest_dataset(settings, "movielens-small"), REAL if is_real else SMALL


@pytest.fixture(scope="module")
def count(ingested):
    """Ask about the lake, read once."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        for folder in ("events", "items"):
            files = f"read_parquet('{ingested[0]}/{folder}/*/*.parquet', hive_partitioning = true)"
            database.execute(f"CREATE TABLE {folder} AS FROM {files}")

        def query(folder, select, where="true", tail=""):
            return database.execute(f"SELECT {select} FROM {folder} WHERE {where} {tail}").fetchall()

        yield query


def test_every_row_is_accepted(ingested):
    _, report, expected = ingested
    counts = {part.record_type: (part.n_landed, part.n_accepted) for part in report.counts}
    assert counts == {
        RecordType.EVENT: (expected["events"],) * 2,
        RecordType.ITEM: (expected["items"],) * 2,
        RecordType.USER: (expected["users"],) * 2,
    }


def test_stars_and_words_become_events(ingested, count):
    expected = ingested[2]
    stars = count("events", "count(*), min(value), max(value), count(text)", "event_type = 'rating'")
    words = count("events", "count(*), count(value), count(text)", "event_type = 'tag'")
    assert stars == [(expected["ratings"], 0.5, 5.0, 0)]
    assert words == [(expected["tags"], 0, expected["tags"])]


def test_the_catalogue_begins_with_the_first_event(ingested, count):
    expected = ingested[2]
    times = "min(available_from), max(available_from), min(updated_at), max(updated_at), max(received_at)"
    assert count("items", times) == [(expected["first_event_at"],) * 5]
    assert count("events", "min(received_at)") == [(expected["first_event_at"],)]


def test_the_known_dirt_is_handled(ingested, count):
    expected = ingested[2]
    rated = "item_id IN (SELECT item_id FROM events WHERE event_type = 'rating')"
    imdb = "regexp_full_match(attributes ->> 'imdb_id', '0[0-9]{6}|[0-9]{7,}')"
    assert count("items", "count(*)", "len(categories) = 0") == [(expected["without_genre"],)]
    assert count("items", "count(*)", "list_contains(categories, '(no genres listed)')") == [(0,)]
    assert count("items", "count(*)", "(attributes ->> 'year') IS NULL") == [(expected["without_year"],)]
    assert count("items", "count(*)", "(attributes ->> 'tmdb_id') IS NULL") == [(expected["without_tmdb"],)]
    assert count("items", "count(*)", imdb) == [(expected["items"],)]
    assert count("items", "count(*) - count(DISTINCT title)") == [(expected["shared_titles"],)]
    assert count("items", "count(*)", "title <> trim(title) OR contains(title, chr(13))") == [(0,)]
    assert count("items", "count(*)", f"NOT {rated}") == [(expected["never_rated"],)]


def test_a_day_of_arrival_is_a_folder(count):
    assert count("events", "count(*)", "received_date <> received_at::date") == [(0,)]


def test_equal_times_are_shuffled_by_id(ingested, count):
    """Within a second GroupLens sorts by film; the order of event ids must not."""
    tied = "QUALIFY count(*) OVER (PARTITION BY user_id, occurred_at) > 1 ORDER BY user_id, occurred_at, event_id"
    films = [int(row[0]) for row in count("events", "item_id", "event_type = 'rating'", tied)]
    rising = sum(first < second for first, second in pairwise(films))
    assert 0.4 < rising / len(films) < 0.6 or ingested[2] is SMALL


@pytest.mark.parametrize(
    ("original", "restored"),
    [
        ("Matrix, The (1999)", "The Matrix (1999)"),
        ("American President, The (1995)", "The American President (1995)"),
        ("Avventura, L' (Adventure, The) (1960)", "L'Avventura (The Adventure) (1960)"),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            "The City of Lost Children (La Cité des enfants perdus) (1995)",
        ),
        (
            "Vitelloni, I (a.k.a. The Young and the Passionate) (1953)",
            "I Vitelloni (a.k.a. The Young and the Passionate) (1953)",
        ),
        ("Good, the Bad and the Ugly, The (1966)", "The Good, the Bad and the Ugly (1966)"),
        ("Steamboat Bill, Jr. (1928)", "Steamboat Bill, Jr. (1928)"),
        ("Toy Story (1995)", "Toy Story (1995)"),
        ("Babylon 5", "Babylon 5"),
    ],
)
def test_titles_get_their_article_back(original, restored):
    assert movielens.article_first(original) == restored


def test_the_zip_gives_the_same_events_as_the_folder(make_settings, movielens_dir, ask):
    folder_home = make_settings("folder")
    ingest_dataset(folder_home, "movielens-small")
    pack(movielens_dir)
    zip_home = make_settings("zip")
    report = ingest_dataset(zip_home, "movielens-small")
    assert report.origin.endswith(movielens.SMALL.archive)
    for folder in ("events", "items", "users"):
        rows = [ask(home.lake_dir, folder, "*", "ORDER BY ALL") for home in (folder_home, zip_home)]
        assert rows[0] == rows[1]


def test_rows_that_cannot_be_used_are_kept_with_their_reason(settings, movielens_dir, ask):
    with (movielens_dir / "ml-latest-small" / "ratings.csv").open("a", newline="") as ratings:
        ratings.write("3,1,five,828124615\r\n3,1,5.0,yesterday\r\n3,1\r\n,1,5.0,828124615\r\n")
    report = ingest_dataset(settings, "movielens-small")
    assert report.counts[0].n_rejected == 4
    rejects = ask(settings.lake_dir, "rejects", "source_file, source_line, reason, raw", "ORDER BY source_line")
    assert [(file, line) for file, line, _, _ in rejects] == [("ratings.csv", line) for line in (7, 8, 9, 10)]
    assert "value: Input should be a valid number" in rejects[0][2]
    assert "'yesterday'" in rejects[1][2]
    assert "2 fields, the header 4" in rejects[2][2]
    assert "user_id: String should have at least 1 character" in rejects[3][2]
    assert rejects[0][3] == '{"movieId":"1","rating":"five","timestamp":"828124615","userId":"3"}'


def test_a_missing_file_is_named(settings, movielens_dir):
    (movielens_dir / "ml-latest-small" / "links.csv").unlink()
    with pytest.raises(DatasetError, match=r"links\.csv is missing"):
        ingest_dataset(settings, "movielens-small")


def test_a_broken_zip_says_where_to_get_another(settings, movielens_dir):
    pack(movielens_dir).write_bytes(b"not a zip")
    with pytest.raises(
        DatasetError, match=r"is not a whole zip archive: download it again from https://files\.grouplens"
    ):
        ingest_dataset(settings, "movielens-small")


def test_without_data_and_network_the_next_step_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(movielens, "HOST", "http://127.0.0.1:9")  # nobody listens there
    settings = Settings(home=tmp_path / "home", datasets_dir=tmp_path / "empty")
    with pytest.raises(DatasetError, match=r"could it be downloaded.*set FRESHET_DATASETS_DIR"):
        ingest_dataset(settings, "movielens-small")


@pytest.fixture
def grouplens(movielens_dir, tmp_path, monkeypatch):
    """A web server with the small archive and its md5 under every edition's name; the datasets folder is empty."""
    archive = pack(movielens_dir).rename(tmp_path / "archive.zip")
    content = archive.read_bytes()
    md5 = f"MD5 (ml.zip) = {hashlib.md5(content).hexdigest()}\n".encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(md5 if self.path.endswith(".md5") else content)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(movielens, "HOST", f"http://127.0.0.1:{server.server_port}")
        yield archive
        server.shutdown()
        thread.join()


def test_a_download_is_checked_and_kept(settings, grouplens, monkeypatch):
    files = OriginalFiles(grouplens, "")
    trusted = movielens.Edition("latest-small", {name: files.sha256(name) for name in movielens.FILES})
    monkeypatch.setattr(movielens, "SMALL", trusted)
    report = ingest_dataset(settings, "movielens-small")
    assert report.origin == f"downloaded {trusted.url}, sha256 of its files checked"
    assert (settings.datasets_dir / trusted.archive).read_bytes() == grouplens.read_bytes()


def test_a_download_of_another_content_is_refused(settings, grouplens):
    with pytest.raises(DatasetError, match=r"not the edition of September 2018 \(sha256 differs\)"):
        ingest_dataset(settings, "movielens-small")
    assert not (settings.datasets_dir / movielens.SMALL.archive).exists()


def test_large_editions_are_checked_by_their_published_md5(make_settings, grouplens):
    settings = make_settings(movielens_edition="25m")
    report = ingest_dataset(settings, "movielens")
    assert (report.source, report.origin) == ("movielens", f"downloaded {movielens.HOST}/ml-25m.zip, md5 checked")


def test_a_torn_download_of_a_large_edition_is_refused(make_settings, grouplens, monkeypatch):
    monkeypatch.setattr(movielens, "fetch_text", lambda url: "MD5 (ml.zip) = 0123\n")
    with pytest.raises(DatasetError, match=r"not what GroupLens published \(md5 differs\)"):
        ingest_dataset(make_settings(movielens_edition="20m"), "movielens")


def test_the_largest_edition_at_hand_is_taken(make_settings, movielens_dir, write_movielens):
    assert ingest_dataset(make_settings("small"), "movielens").source == "movielens-small"
    write_movielens(movielens_dir / "ml-25m")
    write_movielens(movielens_dir / "ml-20m")
    report = ingest_dataset(make_settings("large"), "movielens")
    assert (report.source, report.counts[0].n_accepted) == ("movielens", 7)
    assert report.origin.endswith("ml-25m")


def pack(datasets: Path) -> Path:
    """Replace the folder with the archive that GroupLens offers."""
    folder = datasets / "ml-latest-small"
    with zipfile.ZipFile(datasets / movielens.SMALL.archive, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"ml-latest-small/{path.name}")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return datasets / movielens.SMALL.archive
