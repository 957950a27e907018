"""A small MovieLens in GroupLens's own form, neutral files, homes, and a way to look into a lake."""

import csv
import json
import os
import shutil
from pathlib import Path

import duckdb
import pytest

from freshet.settings import Settings

SMALL_DATASETS = Path(__file__).parent / "small_datasets"
"""In the publishers' layouts and with their kinds of dirt, but written by us."""

# Every kind of dirt that the real folder has, in miniature.
MOVIES = [
    ("1", "Toy Story (1995)", "Adventure|Animation|Children"),
    ("2", "Matrix, The (1999)", "Action|Sci-Fi"),
    ("3", "City of Lost Children, The (Cité des enfants perdus, La) (1995)", "Fantasy"),
    ("4", "Babylon 5", "Sci-Fi"),
    ("5", "Death Note: Desu nôto (2006–2007)", "(no genres listed)"),
    ("6", "Emma (1996)", "Comedy"),
    ("7", "Emma (1996)", "Romance"),
    ("8", 'He said "Action, please" (2001) ', "Drama"),
]
RATINGS = [
    ("1", "2", "4.0", "964982703"),
    ("1", "1", "0.5", "964982703"),
    ("1", "3", "5.0", "964982931"),
    ("2", "1", "3.5", "828124615"),
    ("2", "6", "4.5", "1537799250"),
]
TAGS = [("2", "1", "pixar", "1445714994"), ("2", "3", " French, surreal ", "1445714995")]
LINKS = [(movie, f"0{100_000 + int(movie)}", "" if movie == "4" else str(860 + int(movie))) for movie, _, _ in MOVIES]


def small_movielens(folder: Path) -> Path:
    """A folder as GroupLens makes it: UTF-8, quotes where needed, CRLF."""
    folder.mkdir(parents=True)
    for name, header, rows in (
        ("movies.csv", ("movieId", "title", "genres"), MOVIES),
        ("ratings.csv", ("userId", "movieId", "rating", "timestamp"), RATINGS),
        ("tags.csv", ("userId", "movieId", "tag", "timestamp"), TAGS),
        ("links.csv", ("movieId", "imdbId", "tmdbId"), LINKS),
    ):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\r\n").writerows([header, *rows])
    return folder


@pytest.fixture(scope="session")
def write_movielens():
    """Write the small MovieLens to a folder."""
    return small_movielens


@pytest.fixture
def write_jsonl():
    """Write rows as a JSONL file."""

    def write(path: Path, rows: list[dict]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture(scope="session")
def ask():
    """Ask DuckDB about a lake folder, as dbt does."""

    def query(lake: Path, folder: str, select: str, tail: str = "") -> list[tuple]:
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")
            rows = f"read_parquet('{lake}/{folder}/*/*.parquet', hive_partitioning = true)"
            return database.execute(f"SELECT {select} FROM {rows} {tail}").fetchall()

    return query


@pytest.fixture(scope="session")
def files_in():
    """Every visible file of a folder, with its bytes."""

    def read(folder: Path) -> dict[str, bytes]:
        paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    return read


@pytest.fixture(scope="session")
def dataset_folder():
    """The datasets folder, and whether it has the real data in one of these places; otherwise the small ones."""

    def choose(*places: str) -> tuple[Path, bool]:
        folder = Path(os.environ.get("FRESHET_DATASETS_DIR", "datasets"))
        is_real = any((folder / place).exists() for place in places)
        return (folder if is_real else SMALL_DATASETS), is_real

    return choose


@pytest.fixture
def datasets_dir(tmp_path):
    """A datasets folder of one's own, with a small copy of each."""
    shutil.copytree(SMALL_DATASETS, tmp_path / "datasets")
    return tmp_path / "datasets"


@pytest.fixture
def movielens_dir(datasets_dir):
    """A datasets folder that holds a small MovieLens too."""
    small_movielens(datasets_dir / "ml-latest-small")
    return datasets_dir


@pytest.fixture
def make_settings(tmp_path, movielens_dir):
    """Settings of a small world in a home of its own."""

    def make(home: str = "home", **changes) -> Settings:
        small = {"demo_users": 40, "demo_items": 120, "demo_days": 12, "demo_events": 2_000}
        return Settings(home=tmp_path / home, datasets_dir=movielens_dir, **(small | changes))

    return make


@pytest.fixture
def settings(make_settings):
    return make_settings()
