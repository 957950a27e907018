"""MovieLens, as GroupLens publishes it: ratings, user-written tags, films and links, from a folder or the original zip.

A film is known from the dataset's first event on: MovieLens does not say when a film was added, and a later guess would
hide films from users who rated them, while any other source (its first rating, say) would be a look at the future.
"""

import logging
import re
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from ingestion.datasets.adapter import DatasetContext, DatasetError, chunks, csv_rows, hash_of, natural_id
from ingestion.lake_schema import RecordType
from ingestion.landing import RawBatch, RawRow, in_batches

logger = logging.getLogger(__name__)

ADAPTER_VERSION = "1"
NAME = "movielens-small"
FOLDERS = ("ml-latest-small", "movielens-latest-small")
ARCHIVE = "ml-latest-small.zip"
URL = f"https://files.grouplens.org/datasets/movielens/{ARCHIVE}"
DOWNLOAD_TIMEOUT_SECONDS = 60

# The edition of September 2018. GroupLens may make a new "latest": a download is checked, your folder only compared.
SHA256 = {
    "links.csv": "97ad18e4e56a09363c65676b6cb3482ce3e2cea2372a24620c1599c843325f31",
    "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
    "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
    "tags.csv": "92a9f8bb7916dceef6151209845788c3643f794dfa79d1feaec7121b5960399d",
}

_YEAR = re.compile(r"\((\d{4})(?:[–-]\d{4})?\)\s*$")
_ARTICLES = "The|A|An|La|Le|Les|L'|Il|Lo|I|El|Los|Las|Der|Die|Das|Un|Une|Una|Det|De|En"
# "Children Are Watching Us, The (Bambini ci guardano, I) (1944)": before the end, or before or within a bracket.
_TRAILING_ARTICLE = re.compile(rf"(^|\()([^()]+), ({_ARTICLES})(?=\s*(?:\(|\)|$))")


def open_dataset(context: DatasetContext) -> "MovieLens":
    """Find MovieLens under the datasets folder, or fetch it from GroupLens."""
    folder = context.datasets_dir
    for name in FOLDERS:
        if (folder / name / "ratings.csv").is_file():
            return MovieLens(folder / name, f"found the folder {folder / name}")
    if (folder / ARCHIVE).is_file():
        return MovieLens(folder / ARCHIVE, f"found the archive {folder / ARCHIVE}")
    return MovieLens(_download(folder), f"downloaded {URL}, sha256 of its files checked")


class MovieLens:
    """The adapter of `ml-latest-small`; larger editions of the same layout would do as well."""

    name = NAME
    world = "MovieLens latest-small"
    licence = (
        "MovieLens by GroupLens (Harper and Konstan 2015, https://doi.org/10.1145/2827872): free for research, "
        "not for commercial use without permission, see its README.txt"
    )

    def __init__(self, path: Path, origin: str) -> None:
        """``path`` is the folder with the four files, or the zip that holds it."""
        self.path, self.origin = path, origin
        self._first_event_at: datetime | None = None
        self._users: dict[str, tuple[datetime, int]] = {}
        self._links: dict[object, Mapping[str, object]] = {}

    def fingerprint(self) -> str:
        """The content of the four files."""
        return hash_of(iter([ADAPTER_VERSION.encode(), *(self.sha256(name).encode() for name in sorted(SHA256))]))

    def sha256(self, name: str) -> str:
        """The sha256 of one of the files."""
        with _opened(self.path, name) as file:
            return hash_of(chunks(file))

    def read(self) -> Iterator[RawBatch]:
        """Ratings and tags first: they say when the catalogue and each user begin."""
        if any(self.sha256(name) != expected for name, expected in SHA256.items()):
            logger.warning("another edition of MovieLens than that of September 2018", extra={"path": str(self.path)})
        self._first_event_at, self._users = None, {}
        yield from self._batches(RecordType.EVENT, "ratings.csv", self._rating)
        yield from self._batches(RecordType.EVENT, "tags.csv", self._tag)
        self._links = {row.raw["movieId"]: row.raw for row in self._rows("links.csv") if row.defect is None}
        yield from self._batches(RecordType.ITEM, "movies.csv", self._item)
        yield from in_batches(RecordType.USER, "ratings.csv", self._user_rows(), self._first_event_at)

    def _rows(self, name: str) -> Iterator[RawRow]:
        with (
            _opened(self.path, name) as file,
            TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as lines,
        ):
            yield from csv_rows(lines, name)

    def _batches(
        self, kind: RecordType, name: str, convert: Callable[[Mapping[str, object], int], dict[str, object]]
    ) -> Iterator[RawBatch]:
        return in_batches(kind, name, (_converted(row, convert) for row in self._rows(name)))

    def _rating(self, raw: Mapping[str, object], line: int) -> dict[str, object]:
        event = self._event("rating", raw, line, "")
        return event | {"value": raw["rating"] or None}

    def _tag(self, raw: Mapping[str, object], line: int) -> dict[str, object]:
        tag = str(raw["tag"]).strip()
        return self._event("tag", raw, line, tag) | {"text": tag}

    def _event(self, event_type: str, raw: Mapping[str, object], line: int, words: str) -> dict[str, object]:
        user_id, item_id, timestamp = str(raw["userId"]), str(raw["movieId"]), str(raw["timestamp"])
        occurred_at = datetime.fromtimestamp(int(timestamp), UTC)
        if self._first_event_at is None or occurred_at < self._first_event_at:
            self._first_event_at = occurred_at
        if user_id and (user_id not in self._users or occurred_at < self._users[user_id][0]):
            self._users[user_id] = (occurred_at, line)
        return {
            "event_id": natural_id(NAME, event_type, user_id, item_id, timestamp, words),
            "event_type": event_type,
            "user_id": user_id,
            "item_id": item_id,
            "occurred_at": occurred_at,
            "received_at": occurred_at,
        }

    def _item(self, raw: Mapping[str, object], _: int) -> dict[str, object]:
        link = self._links.get(raw["movieId"], {})
        title, genres = str(raw["title"]).strip(), str(raw["genres"])
        year = _YEAR.search(title)
        attributes: dict[str, object] = {"year": int(year.group(1))} if year else {}
        for name, column in (("imdb_id", "imdbId"), ("tmdb_id", "tmdbId")):
            if link.get(column):
                attributes[name] = link[column]
        return {
            "item_id": raw["movieId"],
            "title": article_first(title),
            "categories": [] if genres == "(no genres listed)" else genres.split("|"),
            "attributes": attributes,
            "available_from": self._first_event_at,
            "updated_at": self._first_event_at,
        }

    def _user_rows(self) -> Iterator[RawRow]:
        for user_id, (created_at, line) in self._users.items():
            yield RawRow(line, {"user_id": user_id, "created_at": created_at})


def article_first(title: str) -> str:
    """`Matrix, The (1999)` is `The Matrix (1999)`, and so are titles in brackets."""
    return _TRAILING_ARTICLE.sub(_restored, title)


def _restored(match: re.Match[str]) -> str:
    before, name, article = match.groups()
    return f"{before}{article}{'' if article.endswith(chr(39)) else ' '}{name}"


def _converted(row: RawRow, convert: Callable[[Mapping[str, object], int], dict[str, object]]) -> RawRow:
    if row.defect is not None:
        return row
    try:
        return row._replace(record=convert(row.raw, row.line))
    except KeyError as error:
        raise DatasetError(f"the file has no column {error}: is this GroupLens's original?") from None
    except (ValueError, OverflowError, OSError):
        return row._replace(record={}, defect=f"timestamp: not seconds since 1970 (got {row.raw['timestamp']!r})")


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    """One of the files, whichever way they came."""
    if path.is_dir():
        if not (path / name).is_file():
            raise DatasetError(f"{path / name} is missing: the folder should hold {', '.join(sorted(SHA256))} of {URL}")
        with (path / name).open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.namelist() if Path(member).name == name]
            if not members:
                raise DatasetError(f"{path} has no {name}: download it again from {URL}")
            with archive.open(members[0]) as file:
                yield file
    except (zipfile.BadZipFile, zlib.error):
        raise DatasetError(f"{path} is not a whole zip archive: download it again from {URL}") from None


def _download(folder: Path) -> Path:
    looked = ", ".join(str(folder / name) for name in (*FOLDERS, ARCHIVE))
    target, unfinished = folder / ARCHIVE, folder / f".{ARCHIVE}.unfinished"
    folder.mkdir(parents=True, exist_ok=True)
    logger.info("downloading MovieLens", extra={"url": URL})
    try:
        with urllib.request.urlopen(URL, timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer:
            unfinished.write_bytes(b"".join(chunks(answer)))
    except (urllib.error.URLError, OSError) as error:
        raise DatasetError(
            f"MovieLens is neither at {looked}, nor could it be downloaded from {URL} ({error}): "
            "put the folder or the zip there, or set FRESHET_DATASETS_DIR to where it is"
        ) from None
    found = MovieLens(unfinished, "")
    wrong = [name for name, expected in SHA256.items() if found.sha256(name) != expected]
    if wrong:
        raise DatasetError(
            f"{', '.join(wrong)} in {unfinished} is not the edition of September 2018 (sha256 differs): "
            f"if you trust it, rename the file to {target.name}"
        )
    return unfinished.replace(target)
