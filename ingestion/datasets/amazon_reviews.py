"""Amazon reviews, as the McAuley lab publishes them: JSON lines of reviews and of products, as in 2018 or 2023.

A review is a rating with the user's own words. Its time is a day (2018) or a millisecond (2023); ties are put in an
order by hashed ids, which favours nobody. Products are as they were when they were crawled, which nobody dates, so they
are known from the first review on; what the crawl knew of the future (average ratings, sales ranks, also bought) is
left out.
"""

import html
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from ingestion.datasets.adapter import DatasetContext, DatasetError, RowError, chunks, converted, hash_of, natural_id
from ingestion.datasets.file_formats import json_rows, opened
from ingestion.lake_schema import RecordType
from ingestion.landing import RawBatch, RawRow, in_batches

ADAPTER_VERSION = "1"
NAME = "amazon-reviews"
FOLDERS = ("amazon-reviews", "amazon_reviews", "amazon")
PUBLISHER = "https://amazon-reviews-2023.github.io or https://nijianmo.github.io/amazon/"
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz")

MAX_TEXT, MAX_DESCRIPTION, MAX_TITLE, MAX_LABEL, MAX_LABELS = 8_192, 32_768, 1_024, 256, 256
_LINE_BREAK, _MARKUP = re.compile(r"<br\s*/?>", re.IGNORECASE), re.compile(r"<[^<>]{1,200}>")
_PRICE = re.compile(r"\$?(\d[\d,]*(?:\.\d+)?)")


def open_dataset(context: DatasetContext) -> "AmazonReviews":
    """Ratings with the words of the reviewers, and products with descriptions (Amazon Reviews 2018 or 2023).

    Taken from the .jsonl(.gz) or .json(.gz) files in amazon-reviews/ in FRESHET_DATASETS_DIR: files that begin with
    meta_ describe products, the others are reviews, and several shops may lie there together. They are behind forms
    or hubs without checksums, so nothing is downloaded.
    """
    for name in FOLDERS:
        folder = context.datasets_dir / name
        files = sorted(file for file in folder.glob("*") if file.name.endswith(SUFFIXES)) if folder.is_dir() else []
        reviews = [file for file in files if not _is_metadata(file)]
        if reviews:
            return AmazonReviews(reviews, [file for file in files if _is_metadata(file)], f"found {folder}")
    raise DatasetError(
        f"there are no Amazon reviews in {context.datasets_dir} (looked for {', '.join(FOLDERS)} with files like "
        f"All_Beauty.jsonl.gz and meta_All_Beauty.jsonl.gz): get them from {PUBLISHER}"
    )


class AmazonReviews:
    """The adapter of some files of reviews and of metadata."""

    name = NAME
    world = "Amazon reviews"
    licence = "Amazon Reviews by the McAuley lab (https://cseweb.ucsd.edu/~jmcauley/): for research; cite the paper"

    def __init__(self, reviews: list[Path], metadata: list[Path], origin: str) -> None:
        """Products without metadata are called by their number."""
        self._reviews, self._metadata, self.origin = reviews, metadata, origin

    def fingerprint(self) -> str:
        """The content of the files."""
        return hash_of(chain([ADAPTER_VERSION.encode()], *map(_content, (*self._reviews, *self._metadata))))

    def read(self) -> Iterator[RawBatch]:
        """Reviews first: they say when the catalogue begins, and which products need a name."""
        self._first_at: datetime | None = None
        self._reviewed: dict[str, tuple[str, int]] = {}
        self._described: set[str] = set()
        self._users: dict[str, tuple[datetime, str, int]] = {}
        for file in self._reviews:
            self._file = file.name
            rows = (converted(row, self._review) for row in json_rows(file))
            yield from in_batches(RecordType.EVENT, file.name, rows)
        for file in self._metadata:
            rows = (converted(row, self._product) for row in json_rows(file))
            yield from in_batches(RecordType.ITEM, file.name, rows)
        yield from self._undescribed()
        for file in self._reviews:
            yield from in_batches(RecordType.USER, file.name, self._users_of(file.name), self._first_at)

    def _review(self, raw: Mapping[str, object], line: int) -> dict[str, object]:
        moment = _moment(raw)
        user_id, item_id = _text(raw, "user_id", "reviewerID"), _text(raw, "parent_asin", "asin")
        words, headline = _plain(_text(raw, "text", "reviewText")), _plain(_text(raw, "title", "summary"))
        self._note(user_id, item_id, moment, line)
        properties: dict[str, object] = {"is_verified": raw.get("verified_purchase", raw.get("verified"))}
        if len(words) > MAX_TEXT:
            properties["is_text_cut"] = True
        if headline:
            properties["headline"] = headline
        return {
            "event_id": natural_id(NAME, user_id, item_id, moment.isoformat(), _text(raw, "asin"), words),
            "event_type": "rating",
            "user_id": user_id,
            "item_id": item_id,
            "value": raw.get("rating", raw.get("overall")),
            "text": words[:MAX_TEXT] or headline[:MAX_TEXT] or None,
            "occurred_at": moment,
            "received_at": moment,
            "properties": {name: value for name, value in properties.items() if value is not None},
        }

    def _note(self, user_id: str, item_id: str, moment: datetime, line: int) -> None:
        if self._first_at is None or moment < self._first_at:
            self._first_at = moment
        if item_id:
            self._reviewed.setdefault(item_id, (self._file, line))
        if user_id and (user_id not in self._users or moment < self._users[user_id][0]):
            self._users[user_id] = (moment, self._file, line)

    def _product(self, raw: Mapping[str, object], _: int) -> dict[str, object]:
        item_id, title = _text(raw, "parent_asin", "asin"), _plain(_text(raw, "title"))
        if title:
            self._described.add(item_id)
        return {
            "item_id": item_id,
            "title": title[:MAX_TITLE],
            "description": _description(raw),
            "categories": _labels(raw.get("categories", raw.get("category"))),
            "price": _price(raw.get("price")),
            "image_url": _picture(raw),
            "attributes": _attributes(raw),
            "available_from": self._first_at,
            "updated_at": self._first_at,
        }

    def _undescribed(self) -> Iterator[RawBatch]:
        for file in self._reviews:
            rows = (
                RawRow(
                    line,
                    {
                        "item_id": item_id,
                        "title": item_id,
                        "available_from": self._first_at,
                        "updated_at": self._first_at,
                    },
                )
                for item_id, (name, line) in self._reviewed.items()
                if name == file.name and item_id not in self._described
            )
            yield from in_batches(RecordType.ITEM, file.name, rows)

    def _users_of(self, file: str) -> Iterator[RawRow]:
        for user_id, (created_at, name, line) in self._users.items():
            if name == file:
                yield RawRow(line, {"user_id": user_id, "created_at": created_at})


def _is_metadata(file: Path) -> bool:
    return file.name.startswith("meta_")


def _content(file: Path) -> Iterator[bytes]:
    yield f" {file.name} ".encode()
    with opened(file) as raw:
        yield from chunks(raw)


def _moment(raw: Mapping[str, object]) -> datetime:
    """Milliseconds in 2023, seconds at midnight in 2018."""
    name, parts = ("timestamp", 1000) if "timestamp" in raw else ("unixReviewTime", 1)
    number = raw.get(name)
    try:
        whole, rest = divmod(int(str(number)), parts)
        return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest * 1000)
    except (ValueError, OverflowError, OSError):
        raise RowError(f"{name}: not a time since 1970 (got {number!r})") from None


def _text(raw: Mapping[str, object], *names: str) -> str:
    """The first of these that says something."""
    return next((str(raw[name]).strip() for name in names if isinstance(raw.get(name), str) and raw[name]), "")


def _plain(text: str) -> str:
    """Without the markup of a web page."""
    if "<" not in text and "&" not in text:
        return text
    return html.unescape(_MARKUP.sub("", _LINE_BREAK.sub("\n", text))).strip()


def _words(value: object) -> list[str]:
    """A text, or a list of texts."""
    parts = value if isinstance(value, list) else [value]
    return [plain for part in parts if isinstance(part, str) and (plain := _plain(part.strip()))]


def _description(raw: Mapping[str, object]) -> str | None:
    words = [*_words(raw.get("features", raw.get("feature"))), *_words(raw.get("description"))]
    return "\n".join(words)[:MAX_DESCRIPTION] or None


def _labels(value: object) -> list[str]:
    """Categories from broad to narrow; some crawls have whole paragraphs among them."""
    return list(dict.fromkeys(label for label in _words(value) if len(label) <= MAX_LABEL))[:MAX_LABELS]


def _price(value: object) -> float | None:
    """`12.99`, `$1,299.00`, or nothing where the crawl has ranges, words or style sheets."""
    if isinstance(value, int | float):
        return float(value) if value >= 0 else None
    match = _PRICE.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match.group(1).replace(",", "")) if match else None


def _picture(raw: Mapping[str, object]) -> str | None:
    images = raw.get("images", raw.get("imageURLHighRes"))
    first = images[0] if isinstance(images, list) and images else None
    if isinstance(first, dict):
        first = first.get("large") or first.get("thumb")
    return first if isinstance(first, str) and len(first) <= 2_048 else None


def _attributes(raw: Mapping[str, object]) -> dict[str, object]:
    found = {
        "brand": _plain(_text(raw, "store", "brand")),
        "main_category": _plain(_text(raw, "main_category", "main_cat")),
    }
    return {name: value for name, value in found.items() if value}
