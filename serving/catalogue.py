"""What can be recommended: titles, categories, availability; from the exported mart, or the model's bundle."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow

COLUMNS: Final = ("item_id", "title", "categories", "available_from", "is_available")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """What an answer shows of an item, and whether it may be shown."""

    item_id: str
    title: str | None
    categories: tuple[str, ...]
    available_from: datetime | None
    is_available: bool

    def can_be_shown(self, now: datetime) -> bool:
        """On sale, or playable, or whatever the world calls it, at this moment."""
        return self.is_available and (self.available_from is None or self.available_from <= now)


@dataclass(frozen=True)
class Catalogue:
    """All items known, by id."""

    items: Mapping[str, CatalogueItem] = field(default_factory=dict)

    def get(self, item_id: str) -> CatalogueItem:
        """The item; one that nobody described is called by its id and may be shown."""
        return self.items.get(item_id) or CatalogueItem(item_id, None, (), None, is_available=True)

    def availability(self, item_ids: Iterable[str], now: datetime) -> NDArray[np.bool_]:
        """Which of these items may be shown now."""
        return np.fromiter((self.get(item_id).can_be_shown(now) for item_id in item_ids), dtype=bool)


def from_table(table: "pyarrow.Table") -> Catalogue:
    """A catalogue from a table with the item's columns; what a bundle left out counts as available."""
    present = [column for column in COLUMNS if column in table.column_names]
    rows = table.select(present).to_pylist()
    return Catalogue({row["item_id"]: _item(row) for row in rows})


def _item(row: Mapping[str, object]) -> CatalogueItem:
    categories = row.get("categories")
    available_from = row.get("available_from")
    title = row.get("title")
    return CatalogueItem(
        item_id=str(row["item_id"]),
        title=None if title is None else str(title),
        categories=tuple(str(category) for category in categories) if isinstance(categories, list) else (),
        available_from=available_from if isinstance(available_from, datetime) else None,
        is_available=row.get("is_available") is not False,
    )


class CatalogueFile:
    """The exported ``dim_items``, read again whenever a batch has replaced it."""

    def __init__(self, path: Path) -> None:
        """The file may not be there yet."""
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._catalogue: Catalogue | None = None

    def has_changed(self) -> bool:
        """There is another file than the one that was read last."""
        stamp = self._found()
        return stamp is not None and stamp != self._stamp

    def read(self) -> Catalogue | None:
        """The newest catalogue; None as long as no batch has written one."""
        import pyarrow
        import pyarrow.parquet

        stamp = self._found()
        if stamp is None or stamp == self._stamp:
            return self._catalogue
        try:
            self._catalogue = from_table(pyarrow.parquet.read_table(self._path, columns=list(COLUMNS)))
        except (OSError, pyarrow.ArrowException) as error:
            # dbt replaces the file; what is half there now is whole at the next change.
            logger.warning("catalogue cannot be read, keeping the last one", extra={"error": str(error)})
        self._stamp = stamp
        return self._catalogue

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino
