"""UCI Online Retail: the raw invoice lines of a British gift shop that sells mostly to wholesalers.

A line is a purchase of some pieces; an invoice is a basket, and all its lines have one time, so that order within a
basket is chance. A cancellation (an invoice whose number begins with C) is a return: a purchase of less than nothing,
which names the earlier purchases that it undoes entirely, the newest first (docs/decisions/0004-returns.md).

The invoices are also the only catalogue. What was written where something was sold, for a price, is a title; what was
written at no price ("damaged", "?") is a note. A code that was called several things has a version whenever another
name became the commonest so far, so that no new title is known before its time.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from itertools import zip_longest
from zoneinfo import ZoneInfo

from ingestion.datasets.adapter import DatasetContext, DatasetError, RowError, converted, hash_of, natural_id
from ingestion.datasets.original_files import OriginalFiles
from ingestion.datasets.spreadsheet import moment_of, sheet_rows
from ingestion.lake_schema import RecordType
from ingestion.landing import RawBatch, RawRow, in_batches

ADAPTER_VERSION = "1"
NAME = "online-retail"
FILE, SHEET = "online_retail.csv", "Online Retail.xlsx"
PUBLISHER = "https://archive.ics.uci.edu/dataset/352/online+retail"
PLACES = (
    *("uci-online-retail", "online-retail", "online_retail", ""),
    *("online_retail.zip", "online-retail.zip", "online+retail.zip"),
)
COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")

_SHOP_CLOCK = ZoneInfo("Europe/London")
# Five digits and perhaps letters for a colour or a size; POST, M, BANK CHARGES, gift_0001_20 and the like are none.
_PRODUCT = re.compile(r"\d{5}[A-Z]*", re.IGNORECASE)


def open_dataset(context: DatasetContext) -> "OnlineRetail":
    """541,909 invoice lines of a British gift shop, cancellations among them (UCI Online Retail).

    Taken from FRESHET_DATASETS_DIR: the publisher's online+retail.zip or the Online Retail.xlsx in it, or
    uci-online-retail/online_retail.csv, .csv.gz or a zip of that. UCI publishes no checksum, so it is not downloaded.
    """
    for place in PLACES:
        path = context.datasets_dir / place
        files = OriginalFiles(path, PUBLISHER)
        for name in (FILE, SHEET):
            if path.exists() and files.has(name):
                return OnlineRetail(files, name, f"found {name} in {path}")
    raise DatasetError(
        f"Online Retail is not in {context.datasets_dir} (looked for {SHEET}, {FILE} and {FILE}.gz "
        f"in {', '.join(place for place in PLACES if place)}): get it from {PUBLISHER}, or set FRESHET_DATASETS_DIR"
    )


@dataclass
class _Title:
    """The names of one code so far."""

    counts: Counter[str] = field(default_factory=Counter)
    versions: list[tuple[str, datetime, float, int]] = field(default_factory=list)
    """(name, when it became the commonest, price, line)"""


class OnlineRetail:
    """The adapter of the invoices."""

    name = NAME
    world = "UCI Online Retail"
    licence = "Online Retail by Daqing Chen (UCI, https://doi.org/10.24432/C5BW33): CC BY 4.0"

    def __init__(self, files: OriginalFiles, name: str, origin: str) -> None:
        """``files`` holds the invoices under that name, as CSV or as the publisher's sheet."""
        self._files, self._file, self.origin = files, name, origin

    def fingerprint(self) -> str:
        """The content of the one file."""
        return hash_of(iter([f"{ADAPTER_VERSION} {self._files.sha256(self._file)}".encode()]))

    def read(self) -> Iterator[RawBatch]:
        """Invoice lines in the file's order, which is that of time; then what they say of things and people."""
        self._first_at: datetime | None = None
        self._titles: dict[str, _Title] = defaultdict(_Title)
        self._sold: dict[str, tuple[str, int]] = {}
        self._customers: dict[str, tuple[datetime, str, int]] = {}
        self._returns = Returns()
        lines = self._files.rows(FILE) if self._file == FILE else self._sheet()
        yield from in_batches(RecordType.EVENT, self._file, (converted(row, self._line) for row in lines))
        yield from in_batches(RecordType.ITEM, self._file, self._items())
        yield from in_batches(RecordType.USER, self._file, self._users(), self._first_at)

    def _sheet(self) -> Iterator[RawRow]:
        with self._files.open(SHEET) as file:
            rows = sheet_rows(BytesIO(file.read()), SHEET)
            _, header = next(rows, (0, []))
            for line, cells in rows:
                yield RawRow(line, dict(zip_longest(header, cells[: len(header)], fillvalue="")))

    def _line(self, raw: Mapping[str, object], line: int) -> dict[str, object]:
        values = tuple(str(raw[name]) for name in COLUMNS)
        invoice, code, description, quantity, date, price, customer, country = values
        moment, pieces, unit_price = _moment(date), _whole(quantity), _amount(price)
        if self._first_at is None:
            self._first_at = moment
        code, title = code.upper(), " ".join(description.split())
        is_product = _PRODUCT.fullmatch(code) is not None
        if is_product and title and unit_price > 0:
            self._note_title(code, title, moment, unit_price, line)
        _refuse(invoice, code, pieces, customer, is_product)
        user_id, event_id = customer.removesuffix(".0"), natural_id(NAME, *values)
        self._sold.setdefault(code, (title, line))
        self._customers.setdefault(user_id, (moment, country, line))
        properties: dict[str, object] = {"unit_price": unit_price}
        undone = self._returns.book(user_id, code, event_id, pieces, date)
        if undone:
            properties["reverses"] = undone
        return {
            "event_id": event_id,
            "event_type": "purchase",
            "user_id": user_id,
            "item_id": code,
            "value": pieces,
            "session_id": invoice,
            "occurred_at": moment,
            "received_at": moment,
            "properties": properties,
        }

    def _note_title(self, code: str, title: str, moment: datetime, price: float, line: int) -> None:
        known = self._titles[code]
        known.counts[title] += 1
        current = known.versions[-1][0] if known.versions else None
        if current is None or known.counts[title] > known.counts[current]:
            known.versions.append((title, moment, price, line))

    def _items(self) -> Iterator[RawRow]:
        """The first name of a thing is known from the first invoice on: when it was listed, no invoice says."""
        for code, known in self._titles.items():
            for number, (title, since, price, line) in enumerate(known.versions):
                yield _item(code, title, price, self._first_at, since if number else self._first_at, line)
        for code, (title, line) in self._sold.items():
            if code not in self._titles:  # only ever given away
                yield _item(code, title or code, None, self._first_at, self._first_at, line)

    def _users(self) -> Iterator[RawRow]:
        for user_id, (created_at, country, line) in self._customers.items():
            yield RawRow(line, {"user_id": user_id, "attributes": {"country": country}, "created_at": created_at})


class Returns:
    """Which purchases are undone: a customer's return takes from their newest purchases of the same thing first."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
        self._date, self._seen = "", set[str]()

    def book(self, user_id: str, item_id: str, event_id: str, pieces: int, date: str) -> list[str]:
        """Note a purchase; of a return, the purchases of which now nothing is left. Repeated lines count once."""
        if date != self._date:
            self._date, self._seen = date, set()
        if event_id in self._seen:
            return []
        self._seen.add(event_id)
        purchases = self._open[user_id, item_id]
        if pieces > 0:
            purchases.append((event_id, pieces))
            return []
        undone = []
        while purchases and pieces < 0:
            purchase, n_left = purchases.pop()
            pieces += n_left
            if pieces > 0:
                purchases.append((purchase, pieces))
            else:
                undone.append(purchase)
        return undone


def _refuse(invoice: str, code: str, pieces: int, customer: str, is_product: bool) -> None:
    """Raise all that stands against counting a line as somebody's purchase or return."""
    problems = []
    if not customer:
        problems.append("CustomerID: missing, so it is nobody's purchase")
    if invoice.upper().startswith("A"):
        problems.append("InvoiceNo: an adjustment of bad debt")
    if not is_product:
        problems.append(f"StockCode: not a product (got {code!r})")
    is_cancellation = invoice.upper().startswith("C")
    if pieces <= 0 and not is_cancellation:
        problems.append("Quantity: pieces written off, not sold")
    if pieces >= 0 and is_cancellation:
        problems.append("Quantity: a cancellation of nothing")
    if problems:
        raise RowError("; ".join(problems))


def _item(
    code: str, title: str, price: float | None, available_from: datetime | None, since: datetime | None, line: int
) -> RawRow:
    return RawRow(
        line, {"item_id": code, "title": title, "price": price, "available_from": available_from, "updated_at": since}
    )


@lru_cache(maxsize=4096)
def _moment(text: str) -> datetime:
    """The shop's clock in UTC; some copies of the file have American dates, the sheet has numbers."""
    try:
        by_the_shop = _local(text)
    except (ValueError, OverflowError):
        raise RowError(f"InvoiceDate: not a time (got {text!r})") from None
    return by_the_shop.replace(tzinfo=_SHOP_CLOCK).astimezone(UTC)


def _local(text: str) -> datetime:
    if "/" in text:
        return datetime.strptime(text, "%m/%d/%Y %H:%M")  # noqa: DTZ007 (the caller knows the zone)
    return moment_of(float(text)) if "-" not in text else datetime.fromisoformat(text)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RowError(f"Quantity: not a whole number (got {text!r})") from None


def _amount(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RowError(f"UnitPrice: not a number (got {text!r})") from None
