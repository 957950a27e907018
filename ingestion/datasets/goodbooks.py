"""goodbooks-10k: ratings of ten thousand books, with the words of those who put them on shelves.

**The ordinal clock.** The ratings have no time; their publisher says only that they are sorted by it. So the first row
is placed at an arbitrary midnight and each further one a second later. That keeps the order of a user's ratings, which
is all it claims: dates, hours, pauses between ratings and hence sessions and trends by day mean nothing here.

What the crawl knew of a book later than its readers did (average rating, numbers of ratings and reviews) is left out.
"""

import ast
import heapq
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from ingestion.datasets.adapter import DatasetContext, DatasetError, converted, hash_of, natural_id
from ingestion.datasets.original_files import OriginalFiles
from ingestion.lake_schema import RecordType
from ingestion.landing import RawBatch, RawRow, in_batches

ADAPTER_VERSION = "1"
NAME = "goodbooks"
PUBLISHER = "https://github.com/zygmuntz/goodbooks-10k"
PLACES = (
    *("goodbooks-10k", "goodbooks-10k-master", "goodbooks-10k-extended", "goodbooks", "goodbooks-10k-sample"),
    *("goodbooks-10k.zip", "goodbooks-10k-master.zip"),
)
START = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the ordinal clock begins; no book was rated then."""

TAGS_PER_BOOK = 12
MAX_LABEL, MAX_LABELS, MAX_DESCRIPTION = 256, 256, 32_768

_SHELF_TAGS = ("book_tags.csv", "tags.csv")
_REDUCED_TAGS = ("book_tags_reduced.csv", "tags_reduced.csv")
_GENRES, _ENRICHED = "book_genres.csv", "books_enriched.csv"

# Shelves that say where a copy lies or whether it was read, not what is in it.
_HOUSEKEEPING = re.compile(
    r"(?:to|re|un|currently|never|want|want-to|all|already|must)-?(?:read|reading|reread|re-read|buy|finish)(?:-.*)?"
    r"|(?:read|owned?|own|have|my|bought|purchased|borrowed|maybe|wish|tbr|library|shelf|default|general|abandoned)(?:-.*)?"
    r"|(?:.*-)?(?:favou?rites?|i-own|owned|library|shelf|challenge|bookclub|book-club|tbr|wish-?list|collection)(?:-.*)?"
    r"|(?:.*-)?read-in-.*|(?:\d+-)?books?(?:-.*)?|\d.*|(?:e-?books?|kindle|nook|calibre|audio|audiobooks?|audible)(?:-.*)?"
    r"|paperback|hardcover|dnf|did-not-finish|unfinished|finished|on-hold|gave-up.*|english|series|novels?"
)


def open_dataset(context: DatasetContext) -> "Goodbooks":
    """Six million ratings of ten thousand books, in the order of time but without dates (goodbooks-10k).

    Taken from goodbooks-10k/ or a zip of it in FRESHET_DATASETS_DIR, in the full layout or cut to some users; with
    books_enriched.csv there, books have descriptions. Nobody publishes a checksum of it, so it is not downloaded.
    """
    for place in PLACES:
        path = context.datasets_dir / place
        files = OriginalFiles(path, PUBLISHER)
        if path.exists() and files.has("ratings.csv"):
            return Goodbooks(files, f"found {path}")
    raise DatasetError(
        f"goodbooks-10k is not in {context.datasets_dir} (looked for {', '.join(PLACES)}): "
        f"get it from {PUBLISHER}, or set FRESHET_DATASETS_DIR to where it is"
    )


class Goodbooks:
    """The adapter of one copy."""

    name = NAME
    licence = "goodbooks-10k by Zygmunt Zajac (http://fastml.com/goodbooks-10k): CC BY-SA 4.0"

    def __init__(self, files: OriginalFiles, origin: str) -> None:
        """``files`` has at least ratings.csv and books.csv."""
        self._files, self.origin = files, origin
        # The clock counts rows, so a cut and the whole do not go together.
        self.world = "goodbooks-10k" if files.has(_SHELF_TAGS[0]) else "goodbooks-10k, cut to some users"
        self._users: dict[str, tuple[datetime, int]] = {}

    def fingerprint(self) -> str:
        """The content of the files that are read."""
        return hash_of(f"{ADAPTER_VERSION} {name} {self._files.sha256(name)} ".encode() for name in self._names())

    def read(self) -> Iterator[RawBatch]:
        """Ratings, books and those who rated."""
        self._users = {}
        ratings = (converted(row, self._rating) for row in self._files.rows("ratings.csv"))
        yield from in_batches(RecordType.EVENT, "ratings.csv", ratings)
        yield from in_batches(RecordType.ITEM, "books.csv", self._books())
        users = (
            RawRow(line, {"user_id": user_id, "created_at": created_at})
            for user_id, (created_at, line) in self._users.items()
        )
        yield from in_batches(RecordType.USER, "ratings.csv", users)

    def _names(self) -> Iterator[str]:
        yield from ("ratings.csv", "books.csv")
        for name in (*_SHELF_TAGS, *_REDUCED_TAGS, _GENRES, _ENRICHED):
            if self._files.has(name):
                yield name

    def _rating(self, raw: Mapping[str, object], line: int) -> dict[str, object]:
        user_id, book_id, rating = str(raw["user_id"]), str(raw["book_id"]), str(raw["rating"])
        moment = START + timedelta(seconds=line - 2)  # the header is line 1
        if user_id:
            self._users.setdefault(user_id, (moment, line))
        return {
            "event_id": natural_id(NAME, user_id, book_id, rating),
            "event_type": "rating",
            "user_id": user_id,
            "item_id": book_id,
            "value": rating or None,
            "occurred_at": moment,
            "received_at": moment,
        }

    def _books(self) -> Iterator[RawRow]:
        shelves, genres, descriptions = self._shelves(), self._genres(), self._descriptions()

        def book(raw: Mapping[str, object], _: int) -> dict[str, object]:
            book_id = str(raw["book_id"])
            return {
                "item_id": book_id,
                "title": str(raw["title"]).strip() or str(raw["original_title"]).strip(),
                "description": descriptions.get(book_id),
                "categories": genres.get(book_id, []),
                "tags": shelves.get(str(raw["goodreads_book_id"]), []),
                "image_url": _picture(str(raw["image_url"])),
                "attributes": _attributes(raw),
                "available_from": START,
                "updated_at": START,
            }

        return (converted(row, book) for row in self._files.rows("books.csv"))

    def _shelves(self) -> dict[str, list[str]]:
        """The commonest shelves that say something about each book, by its number at Goodreads."""
        placed, named = _SHELF_TAGS if self._files.has(_SHELF_TAGS[0]) else _REDUCED_TAGS
        if not (self._files.has(placed) and self._files.has(named)):
            return {}
        names = {row.raw["tag_id"]: str(row.raw["tag_name"]) for row in self._files.rows(named) if row.defect is None}
        telling = {tag_id: name for tag_id, name in names.items() if is_telling(name)}
        commonest: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for row in self._files.rows(placed):
            tag, count = telling.get(row.raw.get("tag_id")), str(row.raw.get("count"))
            if tag is not None and count.isdigit():  # the crawl has counts below zero
                _keep(commonest[str(row.raw["goodreads_book_id"])], (int(count), tag))
        return {
            book: list(dict.fromkeys(tag.replace("-", " ").strip() for _, tag in sorted(shelves, reverse=True)))
            for book, shelves in commonest.items()
        }

    def _genres(self) -> dict[str, list[str]]:
        if self._files.has(_GENRES):
            rows = self._files.rows(_GENRES)
            return {str(row.raw["book_id"]): _labels(str(row.raw["genres"]).split(",")) for row in _whole(rows)}
        if self._files.has(_ENRICHED):
            rows = self._files.rows(_ENRICHED)
            return {_number(row.raw["book_id"]): _labels(_python_list(row.raw["genres"])) for row in _whole(rows)}
        return {}

    def _descriptions(self) -> dict[str, str]:
        if not self._files.has(_ENRICHED):
            return {}
        rows = _whole(self._files.rows(_ENRICHED))
        texts = {_number(row.raw["book_id"]): str(row.raw["description"]).strip() for row in rows}
        return {book: text[:MAX_DESCRIPTION] for book, text in texts.items() if text}


def is_telling(shelf: str) -> bool:
    """Whether the name of a shelf is about its books: not "to-read", "owned" or "2015"."""
    return sum(letter.isalpha() for letter in shelf) > 1 and _HOUSEKEEPING.fullmatch(shelf) is None


def _whole(rows: Iterator[RawRow]) -> Iterator[RawRow]:
    return (row for row in rows if row.defect is None)


def _keep(heap: list[tuple[int, str]], shelf: tuple[int, str]) -> None:
    if len(heap) < TAGS_PER_BOOK:
        heapq.heappush(heap, shelf)
    else:
        heapq.heappushpop(heap, shelf)


def _attributes(raw: Mapping[str, object]) -> dict[str, object]:
    year = str(raw["original_publication_year"])
    found: dict[str, object] = {
        "authors": [name.strip() for name in str(raw["authors"]).split(",") if name.strip()],
        "year": int(float(year)) if re.fullmatch(r"-?\d+(\.0)?", year) else None,  # below zero: before Christ
        "language": str(raw["language_code"]),
        # Spreadsheets ate the leading zeros; of the thirteen-digit numbers they ate the end, so those are left out.
        "isbn": str(raw["isbn"]).zfill(10) if raw["isbn"] else None,
        "original_title": str(raw["original_title"]).strip(),
    }
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _picture(url: str) -> str | None:
    return url if url and "nophoto" not in url else None


def _labels(names: list[str]) -> list[str]:
    plain = (name.replace("-", " ").strip() for name in names)
    return list(dict.fromkeys(name for name in plain if 0 < len(name) <= MAX_LABEL))[:MAX_LABELS]


def _python_list(value: object) -> list[str]:
    """A list as Python prints it."""
    try:
        parsed = ast.literal_eval(str(value))
    except (ValueError, SyntaxError):
        return []
    return [str(part) for part in parsed] if isinstance(parsed, list) else []


def _number(value: object) -> str:
    return str(value).removesuffix(".0")
