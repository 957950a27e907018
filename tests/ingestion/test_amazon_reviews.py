"""Reviews of 2018 and of 2023 become ratings with words, and products with texts."""

import gzip

import pytest

from freshet.settings import Settings
from ingestion.balance import accounts
from ingestion.datasets.adapter import DatasetError
from ingestion.ingest import ingest_dataset
from ingestion.lake import Lake


@pytest.fixture
def reviews(settings):
    ingest_dataset(settings, "amazon-reviews")
    return settings.lake_dir


def test_both_layouts_become_ratings_with_words(reviews, ask):
    columns = "user_id, item_id, value, text, occurred_at::varchar, properties"
    assert ask(reviews, "events", columns, "ORDER BY occurred_at, item_id") == [
        ("A7", "00T1", 5.0, "Round.", "2001-09-09 01:46:40+00", '{"headline":"Round","is_verified":true}'),
        ("A7", "00T2", 4.0, "Flat", "2001-09-09 01:46:40+00", '{"headline":"Flat","is_verified":true}'),
        ("AE1", "P03", 4.0, "Fine", "2020-04-27 15:06:40+00", '{"headline":"Fine","is_verified":true}'),
        ("AE2", "P01", 2.0, "Leaks", "2020-05-05 14:08:48+00", '{"is_verified":false}'),
        (
            *("AE1", "P01", 5.0, "It boils.\nTwice & fast.", "2020-05-05 14:08:48.923+00"),
            '{"headline":"Boils","is_verified":true}',
        ),
    ]


def test_both_layouts_become_products(reviews, ask):
    columns = "item_id, title, description, categories, price, image_url, attributes"
    assert ask(reviews, "items", columns, "ORDER BY 1") == [
        (
            "00T1",
            "Ball",
            "Red\nA ball.",
            ["Toys", "Balls"],
            1012.99,
            "https://example.org/ball.jpg",
            '{"brand":"Rund"}',
        ),
        ("00T2", "Board", None, [], None, None, "{}"),
        (
            *("P01", "Steel kettle & lid", "One litre\nBoils water.", ["Home", "Kettles"], 29.99),
            *("https://example.org/l.jpg", '{"brand":"Kett","main_category":"Home"}'),
        ),
        ("P03", "P03", None, [], None, None, "{}"),  # its metadata has no title
    ]


def test_repeated_and_broken_reviews_are_counted(reviews, ask):
    [account] = accounts(Lake(reviews))
    assert (account.landed, account.accepted, account.duplicates, account.rejected) == (8 + 5 + 3, 5 + 4 + 3, 1, 3)
    rejects = ask(reviews, "rejects", "source_file, source_line, reason", "ORDER BY ALL")
    assert [(file, line) for file, line, _ in rejects] == [
        ("Kettles.jsonl", 5),
        ("Kettles.jsonl", 6),
        ("meta_Kettles.jsonl", 2),
    ]
    assert rejects[0][2] == "timestamp: not a time since 1970 (got None)"
    assert "not JSON" in rejects[1][2] and "title" in rejects[2][2]


def test_a_review_longer_than_the_contract_is_cut_and_says_so(settings, datasets_dir, ask):
    long = '{"overall": 1.0, "reviewerID": "A8", "asin": "00T1", "reviewText": "%s", "unixReviewTime": 1000000000}\n'
    (datasets_dir / "amazon-reviews" / "Long.json").write_text(long % ("a" * 9_000))
    ingest_dataset(settings, "amazon-reviews")
    assert ask(settings.lake_dir, "events", "length(text), properties", "WHERE user_id = 'A8'") == [
        (8_192, '{"is_text_cut":true}')
    ]


def test_days_with_many_reviews_are_shuffled_reproducibly(settings, make_settings, datasets_dir, ask):
    line = '{"overall": 1.0, "reviewerID": "A9", "asin": "X%02d", "unixReviewTime": 1000000000}\n'
    (datasets_dir / "amazon-reviews" / "Day.json").write_text("".join(line % number for number in range(50)))
    orders = []
    for home in (settings, make_settings("other")):
        ingest_dataset(home, "amazon-reviews")
        orders.append(ask(home.lake_dir, "events", "item_id", "WHERE user_id = 'A9' ORDER BY occurred_at, event_id"))
    assert orders[0] == orders[1] != sorted(orders[0])


def test_compressed_files_give_the_same_events(settings, make_settings, datasets_dir, ask):
    ingest_dataset(settings, "amazon-reviews")
    for path in list((datasets_dir / "amazon-reviews").iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = make_settings("packed")
    ingest_dataset(packed, "amazon-reviews")
    rows = [
        ask(home.lake_dir, "events", "* EXCLUDE (source_file, ingestion_id)", "ORDER BY event_id")
        for home in (settings, packed)
    ]
    assert rows[0] == rows[1]


def test_without_the_files_the_next_step_is_said(tmp_path):
    with pytest.raises(DatasetError, match=r"there are no Amazon reviews in .*meta_All_Beauty.*get them from https"):
        ingest_dataset(Settings(home=tmp_path / "home", datasets_dir=tmp_path), "amazon-reviews")
