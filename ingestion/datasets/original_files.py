"""A dataset's files as their publisher packed them: in a folder, in a zip archive, or compressed one by one."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from ingestion.datasets.adapter import DatasetError, chunks, csv_rows, hash_of
from ingestion.datasets.file_formats import opened
from ingestion.landing import RawRow


@dataclass(frozen=True)
class OriginalFiles:
    """The folder or zip archive at ``path``; ``publisher`` is where people get it."""

    path: Path
    publisher: str

    def has(self, name: str) -> bool:
        """Whether that file is there, as itself or as ``<name>.gz``."""
        return self._place(name) is not None

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """The bytes of one file, unpacked. Raises DatasetError when it is missing or broken."""
        place = self._place(name)
        if place is None:
            raise DatasetError(f"{self.path / name} is missing: it comes with {self.publisher}")
        try:
            if self.path.is_dir():
                with opened(self.path / place) as file:
                    yield file
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(place) as file:
                    yield file
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError):
            raise DatasetError(f"{place} in {self.path} is broken: download it again from {self.publisher}") from None

    @contextmanager
    def lines(self, name: str) -> Iterator[IO[str]]:
        """One file as text; a row with bytes that are no UTF-8 keeps them, and becomes a reject."""
        with (
            self.open(name) as file,
            TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
        ):
            yield text

    def rows(self, name: str) -> Iterator[RawRow]:
        """The rows of a CSV file with a header."""
        with self.lines(name) as text:
            yield from csv_rows(text, name)

    def sha256(self, name: str) -> str:
        """The sha256 of one file, unpacked: the same for a folder and for the archive that holds it."""
        with self.open(name) as file:
            return hash_of(chunks(file))

    def _place(self, name: str) -> str | None:
        if self.path.is_dir():
            return next((file for file in (name, f"{name}.gz") if (self.path / file).is_file()), None)
        return next((member for member in self._members() if Path(member).name == name), None)

    def _members(self) -> list[str]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.namelist()
        except zipfile.BadZipFile:
            raise DatasetError(
                f"{self.path} is not a whole zip archive: download it again from {self.publisher}"
            ) from None
