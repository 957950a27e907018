"""Rows of the first sheet of an .xlsx file, as text: what some publishers offer and nothing else.

Numbers come as they are stored, dates among them as days since 1899-12-30: only who knows the columns can tell.
"""

import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import IO
from xml.etree.ElementTree import Element, ParseError, iterparse

from ingestion.datasets.adapter import DatasetError

_SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_SHEET, _TEXTS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
_FIRST_DAY = datetime(1899, 12, 30)  # noqa: DTZ001 (a sheet knows no zone)


def sheet_rows(file: IO[bytes], name: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with its number; empty cells are empty texts. Raises DatasetError when it is no such file."""
    try:
        with zipfile.ZipFile(file) as archive:
            texts = list(_shared_texts(archive))
            with archive.open(_SHEET) as sheet:
                for row in _elements(sheet, "row"):
                    yield int(row.get("r", "0")), _cells(row, texts)
    except (zipfile.BadZipFile, KeyError, ParseError) as error:
        raise DatasetError(f"{name} is not a whole .xlsx file: {error}") from None


def moment_of(serial: float) -> datetime:
    """The time that a number in a sheet means, to the second: the numbers are days, and rounded."""
    return _FIRST_DAY + timedelta(seconds=round(serial * 86_400))


def _shared_texts(archive: zipfile.ZipFile) -> Iterator[str]:
    """Texts are stored once, and cells name them by number."""
    if _TEXTS in archive.namelist():
        with archive.open(_TEXTS) as file:
            for text in _elements(file, "si"):
                yield _text(text)


def _elements(file: IO[bytes], name: str) -> Iterator[Element]:
    """The elements of that name, each forgotten after use: a sheet is larger than its file by far."""
    events = iterparse(file, events=("start", "end"))  # noqa: S314 (expat refuses to expand without end)
    _, root = next(events)
    for event, element in events:
        if event == "end" and element.tag == _SPACE + name:
            yield element
            element.clear()
            root.clear()


def _cells(row: Element, texts: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in row:
        place = _column(cell.get("r", ""), len(cells))
        cells.extend([""] * (place - len(cells)))
        value = cell.find(f"{_SPACE}v")
        text = _text(cell) if value is None else value.text or ""
        cells.append(texts[int(text)] if cell.get("t") == "s" else text)
    return cells


def _column(reference: str, otherwise: int) -> int:
    """AB7 stands in column 27, counted from 0."""
    letters = re.match(r"[A-Z]+", reference)
    if letters is None:
        return otherwise
    number = 0
    for letter in letters.group():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _text(element: Element) -> str:
    return "".join(part.text or "" for part in element.iter(f"{_SPACE}t"))
