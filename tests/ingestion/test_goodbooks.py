"""Books and ratings without a clock: the real sample where there is one, else a small copy of the full layout."""

import zipfile
from datetime import UTC, datetime

import duckdb
import pytest

from freshet.settings import Settings
from ingestion.balance import accounts
from ingestion.datasets.adapter import DatasetError
from ingestion.datasets.goodbooks import is_telling
from ingestion.ingest import ingest_dataset
from ingestion.lake import Lake


@pytest.fixture(scope="module")
def books(tmp_path_factory, dataset_folder):
    """(settings, a question to the raw files and the lake)"""
    folder, is_real = dataset_folder("goodbooks-10k-sample")
    settings = Settings(home=tmp_path_factory.mktemp("goodbooks"), datasets_dir=folder)
    ingest_dataset(settings, "goodbooks")
    raw = folder / ("goodbooks-10k-sample" if is_real else "goodbooks-10k")
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        for name in ("ratings", "books"):
            columns = f"read_csv('{raw}/{name}.csv', all_varchar = true, header = true, parallel = false)"
            database.execute(f"CREATE TABLE raw_{name} AS SELECT row_number() OVER () AS row_number, * FROM {columns}")
        for name in ("events", "items", "users"):
            files = f"read_parquet('{settings.lake_dir}/{name}/*/*.parquet', hive_partitioning = false)"
            database.execute(f"CREATE TABLE {name} AS FROM {files}")
        yield settings, lambda statement: database.execute(statement).fetchone()[0]


def test_every_rating_counts_once_or_is_rejected(books):
    settings, ask = books
    [account] = accounts(Lake(settings.lake_dir))
    is_number = "rating IN ('1', '2', '3', '4', '5')"
    accepted = ask(
        f"SELECT count(*) FROM (SELECT DISTINCT user_id, book_id, rating FROM raw_ratings WHERE {is_number})"
    )
    assert ask("SELECT count(*) FROM events") == accepted
    assert account.rejected == ask(f"SELECT count(*) FROM raw_ratings WHERE NOT {is_number}")
    assert ask("SELECT count(*) FROM raw_ratings") in (7, 298_176)
    assert ask("SELECT count(*) FROM users") == ask("SELECT count(DISTINCT user_id) FROM raw_ratings") > 0


def test_the_ordinal_clock_keeps_the_order_of_the_file_and_claims_no_more(books):
    _, ask = books
    in_order = (
        "SELECT count(*) FROM raw_ratings JOIN events ON events.user_id = raw_ratings.user_id AND item_id = book_id"
        " AND epoch(occurred_at - TIMESTAMPTZ '2000-01-01 00:00:00+00') = row_number - 1 AND received_at = occurred_at"
        " WHERE value = try_cast(rating AS double)"
    )
    assert ask(in_order) == ask("SELECT count(*) FROM events")
    assert ask("SELECT min(occurred_at) FROM events") == datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        ("attributes ->> 'isbn'", "isbn IS NULL"),
        ("attributes ->> 'original_title'", "original_title IS NULL OR trim(original_title) = ''"),
        ("attributes ->> 'language'", "language_code IS NULL"),
        ("attributes ->> 'year'", "original_publication_year IS NULL"),
        ("image_url", "image_url LIKE '%nophoto%'"),
    ],
)
def test_what_a_book_does_not_say_is_left_out(kept, missing, books):
    _, ask = books
    assert ask(f"SELECT count(*) FROM items WHERE ({kept}) IS NULL") == ask(
        f"SELECT count(*) FROM raw_books WHERE {missing}"
    )


def test_years_before_christ_and_repaired_numbers(books):
    _, ask = books
    before_christ = "SELECT count(*) FROM raw_books WHERE original_publication_year::double < 0"
    assert ask("SELECT count(*) FROM items WHERE (attributes ->> 'year')::int < 0") == ask(before_christ) > 0
    too_short = "(length(attributes ->> 'isbn') < 10 OR (attributes ->> 'isbn13') IS NOT NULL)"
    assert ask(f"SELECT count(*) FROM items WHERE {too_short}") == 0
    assert ask("SELECT count(*) FROM items") == ask("SELECT count(*) FROM raw_books")
    shared = "SELECT count(*) - count(DISTINCT title) FROM "
    assert ask(shared + "items") == ask(shared + "raw_books")


def test_words_come_from_shelves_genres_and_descriptions(make_settings, ask):
    settings = make_settings()
    ingest_dataset(settings, "goodbooks")
    columns = "title, tags, categories, description, attributes -> 'authors'"
    assert ask(settings.lake_dir, "items", columns, "ORDER BY item_id") == [
        (
            "The River Clock (River, #1)",
            ["time travel", "rivers"],
            ["fantasy", "young adult"],
            "A clock that runs on a river.",
            '["Ada Quill","Ben Inkwell"]',
        ),
        ("Songs of an Old War", [], [], None, '["Homerus"]'),
        ("Paper Birds", [], [], None, '["Cy Fold"]'),
        ("Paper Birds", [], [], None, '["Cy Fold"]'),
    ]


def test_the_reduced_layout_and_a_zip_are_read_too(make_settings, datasets_dir, ask):
    folder = datasets_dir / "goodbooks-10k"
    (folder / "books_enriched.csv").unlink()
    (folder / "book_tags.csv").unlink()
    (folder / "tags_reduced.csv").write_text("tag_id,tag_name\n2,time-travel\n")
    (folder / "book_tags_reduced.csv").write_text("tag_id,book_id,goodreads_book_id,count\n2,1,901,70\n")
    (folder / "book_genres.csv").write_text('book_id,goodreads_book_id,genres\n1,901,"fantasy,ya"\n')
    with zipfile.ZipFile(datasets_dir / "goodbooks-10k.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"goodbooks-10k-master/{path.name}")
            path.unlink()
    settings = make_settings()
    report = ingest_dataset(settings, "goodbooks")
    assert report.origin.endswith("goodbooks-10k.zip")
    assert Lake(settings.lake_dir).world() == "goodbooks-10k, cut to some users"
    assert ask(settings.lake_dir, "items", "tags, categories", "WHERE item_id = '1'") == [
        (["time travel"], ["fantasy", "ya"])
    ]


@pytest.mark.parametrize(
    "shelf", ["to-read", "owned-books", "my-library", "favorites", "childhood-favorites", "2015", "-"]
)
def test_housekeeping_is_no_word_about_a_book(shelf):
    assert not is_telling(shelf)


@pytest.mark.parametrize(
    "shelf", ["time-travel", "young-adult", "stephen-king", "cómics", "history", "readable", "mythology"]
)
def test_shelves_about_books_are_words(shelf):
    assert is_telling(shelf)


def test_without_the_folder_the_next_step_is_said(tmp_path):
    with pytest.raises(DatasetError, match=r"goodbooks-10k is not in .*get it from https://github\.com/zygmuntz"):
        ingest_dataset(Settings(home=tmp_path / "home", datasets_dir=tmp_path), "goodbooks")
