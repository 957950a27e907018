"""Invoices become purchases and returns: the real file where there is one, else a small one with the same dirt."""

import csv
import re
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.settings import Settings
from ingestion.balance import accounts
from ingestion.datasets.adapter import DatasetError
from ingestion.datasets.online_retail import Returns
from ingestion.ingest import ingest_dataset
from ingestion.lake import Lake

IS_PRODUCT = "regexp_full_match(StockCode, '[0-9]{5}[A-Za-z]*')"
IS_USABLE = f"CustomerID IS NOT NULL AND {IS_PRODUCT}"


@pytest.fixture(scope="module")
def retail(tmp_path_factory, dataset_folder):
    """(lake, database with the raw lines and the lake's folders)"""
    folder, is_real = dataset_folder("uci-online-retail")
    settings = Settings(home=tmp_path_factory.mktemp("retail"), datasets_dir=folder)
    ingest_dataset(settings, "online-retail")
    raw = folder / ("uci-online-retail/online_retail.csv.gz" if is_real else "online-retail/online_retail.csv")
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"CREATE TABLE raw AS FROM read_csv('{raw}', all_varchar = true, header = true)")
        for name in ("events", "items", "users", "rejects"):
            files = f"read_parquet('{settings.lake_dir}/{name}/*/*.parquet', hive_partitioning = false)"
            database.execute(f"CREATE TABLE {name} AS FROM {files}")
        yield Lake(settings.lake_dir), database


@pytest.fixture(scope="module")
def ask_both(retail):
    """One number, from the raw file or the lake."""
    return lambda statement: retail[1].execute(statement).fetchone()[0]


def test_each_line_is_accepted_repeated_or_rejected(retail, ask_both):
    [account] = accounts(retail[0])
    n_lines = ask_both("SELECT count(*) FROM raw")
    n_usable = ask_both(f"SELECT count(*) FROM raw WHERE {IS_USABLE}")
    n_different = ask_both(f"SELECT count(*) FROM (SELECT DISTINCT * FROM raw WHERE {IS_USABLE})")
    assert ask_both("SELECT count(*) FROM events") == n_different
    assert account.duplicates == n_usable - n_different
    assert account.rejected == ask_both("SELECT count(*) FROM rejects") == n_lines - n_usable
    assert sum(account.reasons.values()) == account.rejected
    assert n_lines in (18, 541_909)


@pytest.mark.parametrize(
    ("reason", "where"),
    [
        ("CustomerID: missing", "CustomerID IS NULL"),
        ("StockCode: not a product", f"NOT {IS_PRODUCT}"),
        ("InvoiceNo: an adjustment", "InvoiceNo LIKE 'A%'"),
        ("Quantity: pieces written off", "Quantity::int < 0 AND InvoiceNo NOT LIKE 'C%'"),
    ],
)
def test_each_kind_of_useless_line_is_counted(reason, where, ask_both):
    found = ask_both(f"SELECT count(*) FROM rejects WHERE contains(reason, '{reason}')")
    assert found == ask_both(f"SELECT count(*) FROM raw WHERE {where}") > 0


def test_a_cancellation_is_a_purchase_of_less_than_nothing(ask_both):
    cancelled = f"SELECT count(*) FROM (SELECT DISTINCT * FROM raw WHERE InvoiceNo LIKE 'C%' AND {IS_USABLE})"
    assert ask_both("SELECT count(*) FROM events WHERE value < 0") == ask_both(cancelled) > 0
    assert ask_both("SELECT count(*) FROM events WHERE event_type <> 'purchase' OR value = 0") == 0
    net = f"SELECT sum(Quantity::int) FROM (SELECT DISTINCT * FROM raw WHERE {IS_USABLE})"
    assert ask_both("SELECT sum(value) FROM events") == ask_both(net)


UNDONE = "SELECT event_id AS by, unnest((properties -> 'reverses')::varchar[]) AS event_id FROM events WHERE value < 0"


def test_a_return_undoes_earlier_purchases_of_the_same_thing_by_the_same_person(ask_both):
    n_undone = ask_both(f"SELECT count(*) FROM ({UNDONE})")
    fitting = (
        f"SELECT count(*) FROM ({UNDONE}) AS undone JOIN events AS bought USING (event_id) JOIN events AS returned"
        " ON returned.event_id = undone.by WHERE bought.value > 0 AND bought.user_id = returned.user_id"
        " AND bought.item_id = returned.item_id AND bought.occurred_at <= returned.occurred_at"
    )
    assert ask_both(fitting) == n_undone > 0
    assert ask_both(f"SELECT count(DISTINCT event_id) FROM ({UNDONE})") == n_undone


def test_a_basket_is_a_session_and_the_shops_clock_is_british(ask_both):
    baskets = f"SELECT count(DISTINCT InvoiceNo) FROM raw WHERE {IS_USABLE}"
    assert ask_both("SELECT count(DISTINCT session_id) FROM events") == ask_both(baskets)
    assert ask_both("SELECT min(occurred_at) FROM events") == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    by_the_shop = f"SELECT min(InvoiceDate)::timestamp FROM raw WHERE InvoiceDate >= '2011-07-01' AND {IS_USABLE}"
    in_summer = "SELECT min(occurred_at)::timestamp FROM events WHERE occurred_at >= '2011-06-30 22:00'"
    assert ask_both(in_summer) == ask_both(by_the_shop) - timedelta(hours=1)


def test_codes_in_two_cases_are_one_item(ask_both):
    spellings = "SELECT count(DISTINCT StockCode) - count(DISTINCT upper(StockCode)) FROM raw"
    assert ask_both(spellings) in (1, 112)
    assert ask_both("SELECT count(*) FROM items WHERE item_id <> upper(item_id)") == 0
    is_named = "(CustomerID IS NOT NULL OR Description IS NOT NULL AND UnitPrice::double > 0)"
    known = f"SELECT count(DISTINCT upper(StockCode)) FROM raw WHERE {IS_PRODUCT} AND {is_named}"
    assert ask_both("SELECT count(DISTINCT item_id) FROM items") == ask_both(known)


def test_notes_and_blanks_are_no_titles(ask_both):
    notes = "lower(title) IN ('damaged', '?', 'check', 'found', 'damages', 'adjustment', 'wrongly coded', 'counted')"
    assert ask_both(f"SELECT count(*) FROM items WHERE {notes}") == 0
    assert ask_both("SELECT count(*) FROM items WHERE title <> trim(title) OR contains(title, '  ')") == 0
    assert ask_both("SELECT count(*) FROM raw WHERE Description <> trim(Description)") in (1, 113_452)


def test_the_last_title_is_the_commonest_where_something_was_sold(ask_both):
    commonest = (
        "WITH named AS (SELECT upper(StockCode) AS item_id, count(*) AS n_lines,"
        " regexp_replace(trim(Description), '\\s+', ' ', 'g') AS title"
        f" FROM raw WHERE {IS_PRODUCT} AND UnitPrice::double > 0 AND Description IS NOT NULL"
        " GROUP BY ALL), best AS (SELECT item_id, max(n_lines) AS n_lines FROM named GROUP BY 1),"
        " current AS (SELECT item_id, arg_max(title, updated_at) AS title FROM items GROUP BY 1)"
        " SELECT count(*) FROM best JOIN current USING (item_id) LEFT JOIN named USING (item_id, n_lines, title)"
        " WHERE named.title IS NULL"
    )
    assert ask_both(commonest) == 0
    assert ask_both("SELECT count(*) - count(DISTINCT (item_id, updated_at)) FROM items") == 0


def test_versions_of_a_title_begin_when_they_take_the_lead(datasets_dir, make_settings, ask):
    settings = make_settings()
    ingest_dataset(settings, "online-retail")
    versions = ask(
        settings.lake_dir, "items", "title, updated_at::varchar, price", "WHERE item_id = '10002' ORDER BY 2"
    )
    # BLUE MUG stands on two lines, and BLUE TEA MUG on its third one on January 11.
    assert versions == [
        ("BLUE MUG", "2010-12-01 08:26:00+00", 1.25),
        ("BLUE TEA MUG", "2011-01-11 10:00:00+00", 1.35),
    ]
    assert ask(settings.lake_dir, "items", "title, price", "WHERE item_id = '10004'") == [("FREE SAMPLE CARD", None)]
    assert ask(settings.lake_dir, "users", "user_id, attributes", "ORDER BY 1") == [
        ("7001", '{"country":"United Kingdom"}'),
        ("7002", '{"country":"France"}'),
    ]


def test_returns_take_the_newest_purchases_first(datasets_dir, make_settings, ask):
    settings = make_settings()
    ingest_dataset(settings, "online-retail")
    events = ask(
        settings.lake_dir,
        "events",
        "source_line, event_id, value, properties -> 'reverses'",
        "WHERE item_id = '10001A' ORDER BY 1",
    )
    lines, ids, values, reverses = zip(*events, strict=True)
    # 6 and 2 bought; 3 returned: the 2, and one of the 6; 9 returned: the other five, and four bought before our time.
    assert (lines, values) == ((2, 9, 10, 14), (6, 2, -3, -9))
    assert reverses == (None, None, f'["{ids[1]}"]', f'["{ids[0]}"]')


@given(st.lists(st.integers(-5, 5).filter(bool), max_size=20))
def test_returns_never_undo_more_than_was_bought(pieces):
    returns, bought, n_open = Returns(), {}, 0
    for number, quantity in enumerate(pieces):
        undone = returns.book("u", "i", str(number), quantity, str(number))
        if quantity > 0:
            bought[str(number)] = quantity
        n_open = max(0, n_open + quantity)
        assert all(bought.pop(event_id) for event_id in undone)
        assert sum(bought.values()) >= n_open >= len(bought)  # something is left of each that stands


TEXTS = "<sst xmlns='{0}'>{1}</sst>"
SHEET = "<worksheet xmlns='{0}'><sheetData>{1}</sheetData></worksheet>"


def as_sheet(lines: list[list[str]]) -> bytes:
    """The lines as UCI's spreadsheet has them: texts by number, times as days, nothing in empty cells."""
    texts: list[str] = []

    def cell(column: int, row: int, value: str) -> str:
        place = f"{chr(ord('A') + column)}{row}"
        if re.fullmatch(r"-?[\d.]+", value):
            return f"<c r='{place}'><v>{value.removesuffix('.0')}</v></c>"
        if re.match(r"\d{4}-", value):
            days = (datetime.fromisoformat(value) - datetime.fromisoformat("1899-12-30")).total_seconds() / 86_400
            return f"<c r='{place}' s='1'><v>{days:.9f}</v></c>"
        texts.append(f"<si><t>{value}</t></si>")
        return f"<c r='{place}' t='s'><v>{len(texts) - 1}</v></c>"

    rows = "".join(
        f"<row r='{row}'>{''.join(cell(column, row, value) for column, value in enumerate(line) if value)}</row>"
        for row, line in enumerate(lines, start=1)
    )
    space, content = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("xl/sharedStrings.xml", TEXTS.format(space, "".join(texts)))
        archive.writestr("xl/worksheets/sheet1.xml", SHEET.format(space, rows))
    return content.getvalue()


def test_the_publishers_sheet_says_the_same_as_the_file(datasets_dir, make_settings, ask):
    file = datasets_dir / "online-retail" / "online_retail.csv"
    homes = make_settings("file"), make_settings("sheet")
    ingest_dataset(homes[0], "online-retail")
    with file.open() as lines:
        sheet = as_sheet(list(csv.reader(lines)))
    file.unlink()
    with zipfile.ZipFile(datasets_dir / "online+retail.zip", "w") as archive:
        archive.writestr("Online Retail.xlsx", sheet)
    report = ingest_dataset(homes[1], "online-retail")
    assert report.origin.endswith("online+retail.zip")
    columns = "source_line, user_id, item_id, value, occurred_at, session_id"
    events, sheets = (ask(home.lake_dir, "events", columns, "ORDER BY ALL") for home in homes)
    assert events == sheets and len(events) == 10
    rejects, sheets = (ask(home.lake_dir, "rejects", "source_line, reason", "ORDER BY ALL") for home in homes)
    assert rejects == sheets


def test_a_torn_sheet_is_named(datasets_dir, make_settings):
    (datasets_dir / "online-retail" / "online_retail.csv").unlink()
    (datasets_dir / "online-retail" / "Online Retail.xlsx").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"Online Retail\.xlsx is not a whole \.xlsx file"):
        ingest_dataset(make_settings(), "online-retail")


def test_a_file_that_is_no_invoice_list_is_refused(datasets_dir, make_settings):
    (datasets_dir / "online-retail" / "online_retail.csv").write_text("InvoiceNo,StockCode\n1,2\n")
    with pytest.raises(DatasetError, match="no column 'Description': is this the original"):
        ingest_dataset(make_settings(), "online-retail")


def test_without_the_file_the_next_step_is_said(tmp_path):
    settings = Settings(home=tmp_path / "home", datasets_dir=tmp_path)
    with pytest.raises(DatasetError, match=r"Online Retail is not in .*get it from https://archive\.ics\.uci\.edu"):
        ingest_dataset(settings, "online-retail")
