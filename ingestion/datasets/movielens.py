"""MovieLens, as GroupLens publishes it: ratings, user-written tags, films and links, from a folder or the original zip.

A film is known from the dataset's first event on: MovieLens does not say when a film was added, and a later guess would
hide films from users who rated them, while any other source (its first rating, say) would be a look at the future.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ingestion.datasets.adapter import DatasetContext, DatasetError, RowError, chunks, converted, hash_of, natural_id
from ingestion.datasets.download import download, fetch_text
from ingestion.datasets.original_files import OriginalFiles
from ingestion.lake_schema import RecordType
from ingestion.landing import RawBatch, RawRow, in_batches

logger = logging.getLogger(__name__)

ADAPTER_VERSION = "1"
NAME, SMALL_NAME = "movielens", "movielens-small"
HOST = "https://files.grouplens.org/datasets/movielens"
FILES = ("links.csv", "movies.csv", "ratings.csv", "tags.csv")


@dataclass(frozen=True)
class Edition:
    """One of GroupLens's releases in today's layout; those before 20m were laid out otherwise."""

    name: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of its files, where GroupLens publishes no checksum of the archive; a folder of yours is only compared."""

    @property
    def archive(self) -> str:
        """The zip as GroupLens names it."""
        return f"ml-{self.name}.zip"

    @property
    def url(self) -> str:
        """Where GroupLens offers it."""
        return f"{HOST}/{self.archive}"

    @property
    def folders(self) -> tuple[str, ...]:
        """How people call the unpacked archive."""
        return (f"ml-{self.name}", f"movielens-{self.name}")

    def find(self, datasets_dir: Path) -> Path | None:
        """The folder or the archive, if one is there."""
        for folder in self.folders:
            if (datasets_dir / folder / "ratings.csv").is_file():
                return datasets_dir / folder
        archive = datasets_dir / self.archive
        return archive if archive.is_file() else None


# GroupLens may make a new "latest": this is the edition of September 2018.
SMALL = Edition(
    "latest-small",
    {
        "links.csv": "97ad18e4e56a09363c65676b6cb3482ce3e2cea2372a24620c1599c843325f31",
        "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
        "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
        "tags.csv": "92a9f8bb7916dceef6151209845788c3643f794dfa79d1feaec7121b5960399d",
    },
)
EDITIONS = {edition.name: edition for edition in (Edition("32m"), Edition("25m"), Edition("20m"), SMALL)}
"""The largest first."""

_YEAR = re.compile(r"\((\d{4})(?:[–-]\d{4})?\)\s*$")
_ARTICLES = "The|A|An|La|Le|Les|L'|Il|Lo|I|El|Los|Las|Der|Die|Das|Un|Une|Una|Det|De|En"
# "Children Are Watching Us, The (Bambini ci guardano, I) (1944)": before the end, or before or within a bracket.
_TRAILING_ARTICLE = re.compile(rf"(^|\()([^()]+), ({_ARTICLES})(?=\s*(?:\(|\)|$))")


def open_small(context: DatasetContext) -> "MovieLens":
    """100,836 ratings and 3,683 tags of films (MovieLens latest-small).

    Taken from ml-latest-small/ or ml-latest-small.zip in FRESHET_DATASETS_DIR; otherwise downloaded from GroupLens
    and checked.
    """
    return _open(SMALL, context.datasets_dir)


def open_dataset(context: DatasetContext) -> "MovieLens":
    """20 to 32 million ratings and tags of films (MovieLens 20m, 25m or 32m; latest-small too).

    Taken from ml-32m/, ml-25m.zip or the like in FRESHET_DATASETS_DIR; otherwise downloaded from GroupLens (32m, or
    the edition that is named) and checked against the md5 that GroupLens publishes.
    """
    if context.movielens_edition != "any":
        return _open(EDITIONS[context.movielens_edition], context.datasets_dir)
    found = (edition for edition in EDITIONS.values() if edition.find(context.datasets_dir))
    return _open(next(found, next(iter(EDITIONS.values()))), context.datasets_dir)


def _open(edition: Edition, datasets_dir: Path) -> "MovieLens":
    path = edition.find(datasets_dir)
    if path is not None:
        return MovieLens(path, f"found the {'folder' if path.is_dir() else 'archive'} {path}", edition)
    checked = "sha256 of its files checked" if edition.sha256 else "md5 checked"
    return MovieLens(_download(edition, datasets_dir), f"downloaded {edition.url}, {checked}", edition)


class MovieLens:
    """The adapter of one edition."""

    licence = (
        "MovieLens by GroupLens (Harper and Konstan 2015, https://doi.org/10.1145/2827872): free for research, "
        "not for commercial use without permission, see its README.txt"
    )

    def __init__(self, path: Path, origin: str, edition: Edition = SMALL) -> None:
        """``path`` is the folder with the four files, or the zip that holds it."""
        self.name = SMALL_NAME if edition is SMALL else NAME
        self.world, self.origin = f"MovieLens {edition.name}", origin
        self._edition, self._files = edition, OriginalFiles(path, edition.url)
        self._first_event_at: datetime | None = None
        self._users: dict[str, tuple[datetime, int]] = {}
        self._links: dict[object, Mapping[str, object]] = {}

    def fingerprint(self) -> str:
        """The content of the four files."""
        return hash_of(iter([ADAPTER_VERSION.encode(), *(self._files.sha256(name).encode() for name in FILES)]))

    def read(self) -> Iterator[RawBatch]:
        """Ratings and tags first: they say when the catalogue and each user begin."""
        if wrong_files(self._files, self._edition):
            logger.warning("another edition of MovieLens than that of September 2018", extra={"world": self.world})
        self._first_event_at, self._users = None, {}
        yield from self._batches(RecordType.EVENT, "ratings.csv", self._rating)
        yield from self._batches(RecordType.EVENT, "tags.csv", self._tag)
        self._links = {row.raw["movieId"]: row.raw for row in self._files.rows("links.csv") if row.defect is None}
        yield from self._batches(RecordType.ITEM, "movies.csv", self._item)
        yield from in_batches(RecordType.USER, "ratings.csv", self._user_rows(), self._first_event_at)

    def _batches(
        self, kind: RecordType, name: str, convert: Callable[[Mapping[str, object], int], dict[str, object]]
    ) -> Iterator[RawBatch]:
        return in_batches(kind, name, (converted(row, convert) for row in self._files.rows(name)))

    def _rating(self, raw: Mapping[str, object], line: int) -> dict[str, object]:
        event = self._event("rating", raw, line, "")
        return event | {"value": raw["rating"] or None}

    def _tag(self, raw: Mapping[str, object], line: int) -> dict[str, object]:
        tag = str(raw["tag"]).strip()
        return self._event("tag", raw, line, tag) | {"text": tag}

    def _event(self, event_type: str, raw: Mapping[str, object], line: int, words: str) -> dict[str, object]:
        user_id, item_id, timestamp = str(raw["userId"]), str(raw["movieId"]), str(raw["timestamp"])
        occurred_at = _moment(timestamp)
        if self._first_event_at is None or occurred_at < self._first_event_at:
            self._first_event_at = occurred_at
        if user_id and (user_id not in self._users or occurred_at < self._users[user_id][0]):
            self._users[user_id] = (occurred_at, line)
        return {
            "event_id": natural_id(self.name, event_type, user_id, item_id, timestamp, words),
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


def wrong_files(files: OriginalFiles, edition: Edition) -> list[str]:
    """Those whose content is not the edition's, where that is known."""
    return [name for name, expected in edition.sha256.items() if files.sha256(name) != expected]


def _restored(match: re.Match[str]) -> str:
    before, name, article = match.groups()
    return f"{before}{article}{'' if article.endswith(chr(39)) else ' '}{name}"


def _moment(timestamp: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(timestamp), UTC)
    except (ValueError, OverflowError, OSError):
        raise RowError(f"timestamp: not seconds since 1970 (got {timestamp!r})") from None


def _download(edition: Edition, folder: Path) -> Path:
    target = folder / edition.archive
    looked = ", ".join(str(folder / name) for name in (*edition.folders, edition.archive))
    try:
        published = None if edition.sha256 else fetch_text(f"{edition.url}.md5")
        unfinished = download(edition.url, target)
    except OSError as error:
        raise DatasetError(
            f"MovieLens is neither at {looked}, nor could it be downloaded from {edition.url} ({error}): "
            "put the folder or the zip there, or set FRESHET_DATASETS_DIR to where it is"
        ) from None
    if published is not None and _md5(unfinished) not in published.split():
        raise DatasetError(f"{unfinished} is not what GroupLens published (md5 differs): remove it and try again")
    wrong = wrong_files(OriginalFiles(unfinished, edition.url), edition)
    if wrong:
        raise DatasetError(
            f"{', '.join(wrong)} in {unfinished} is not the edition of September 2018 (sha256 differs): "
            f"if you trust it, rename the file to {target.name}"
        )
    return unfinished.replace(target)


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        for chunk in chunks(file):
            digest.update(chunk)
    return digest.hexdigest()
