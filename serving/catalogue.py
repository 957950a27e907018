"""What can be recommended: titles, categories, availability; from the exported mart, or the model's bundle."""

import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ingestion.lake_schema import json_text
from ingestion.live_items import ItemChange
from nearline.session_features import to_us
from serving.catalogue_index import CatalogueIndex

if TYPE_CHECKING:
    import pyarrow

COLUMNS: Final = (
    *("item_id", "title", "categories", "tags", "price", "attributes"),
    *("available_from", "is_available", "updated_at"),
)
ALWAYS: Final = -(2**63)
NEVER: Final = 2**63 - 1
_PIECE_ROWS: Final = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """What an answer shows of an item, what it can be chosen by, and whether it may be shown."""

    item_id: str
    title: str | None
    categories: tuple[str, ...]
    available_from: datetime | None
    is_available: bool
    tags: tuple[str, ...] = ()
    price: float | None = None
    attributes: str = "{}"  # JSON as it is written: parsed, a million of them would not fit
    updated_at: datetime | None = None
    is_deleted: bool = False

    @property
    def shown_from_us(self) -> int:
        """From when on it is on sale, or playable, or whatever the world calls it; NEVER where that is not foreseen."""
        if not self.is_available:
            return NEVER
        return ALWAYS if self.available_from is None else to_us(self.available_from)

    def can_be_shown(self, now: datetime) -> bool:
        """On sale, or playable, or whatever the world calls it, at this moment."""
        return self.shown_from_us <= to_us(now)


@dataclass(frozen=True)
class Catalogue:
    """All items known, by id: as they were exported, and what was put or deleted since."""

    exported: Mapping[str, CatalogueItem] = field(default_factory=dict)
    changes: Mapping[str, CatalogueItem] = field(default_factory=dict)
    """Few beside all the others, so that making another catalogue of this one is quick."""
    _unchanged: "Catalogue | None" = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.exported) + sum(item_id not in self.exported for item_id in self.changes)

    def __iter__(self) -> Iterator[str]:
        """Every item's id, in the order of the index's rows but for items that changed."""
        yield from self.exported
        yield from (item_id for item_id in self.changes if item_id not in self.exported)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self.changes or item_id in self.exported

    @property
    def unchanged(self) -> "Catalogue":
        """This one without its changes; it keeps what follows from all the others."""
        return self if self._unchanged is None else self._unchanged

    @cached_property
    def index(self) -> CatalogueIndex:
        """The items by what they are; made when it is first asked for."""
        if not self.changes:
            return CatalogueIndex.of(self.exported.values())
        return self.unchanged.index.changed(self.changes.values())

    @cached_property
    def shown_from_us(self) -> NDArray[np.int64]:
        """(C,) from when on each exported item may be shown."""
        return np.array([item.shown_from_us for item in self.exported.values()], dtype=np.int64)

    def get(self, item_id: str) -> CatalogueItem:
        """The item; one that nobody described is called by its id and may be shown."""
        known = self.changes.get(item_id) or self.exported.get(item_id)
        return known or CatalogueItem(item_id, None, (), None, is_available=True)

    def changed(self, changes: Iterable[ItemChange]) -> "Catalogue":
        """This catalogue with items that were put or deleted, unless it knows something newer of them."""
        newest = dict(self.changes)
        for change in changes:
            item_id = change.item.item_id
            known = newest.get(item_id) or self.exported.get(item_id)
            if known is None or known.updated_at is None or known.updated_at <= change.item.updated_at:
                newest[item_id] = _live_item(change)
        return Catalogue(self.exported, newest, self.unchanged) if newest else self


def from_table(table: "pyarrow.Table") -> Catalogue:
    """A catalogue from a table with the item's columns; what a bundle left out counts as available."""
    present = [column for column in COLUMNS if column in table.column_names]
    items: dict[str, CatalogueItem] = {}
    first = _FirstOfEqual()
    # In pieces: what is only on the way, for a million items, is as much memory as what is kept.
    for piece in table.select(present).to_batches(max_chunksize=_PIECE_ROWS):
        items.update((row["item_id"], _item(row, first)) for row in piece.to_pylist())
    return Catalogue(items)


class _FirstOfEqual(dict[Any, Any]):
    """Gives the first of equal values, so that many items hold the same one."""

    def __missing__(self, value: Hashable) -> Hashable:
        self[value] = value
        return value


def _item(row: Mapping[str, Any], first: _FirstOfEqual) -> CatalogueItem:
    return CatalogueItem(
        item_id=row["item_id"],
        title=row.get("title"),
        categories=first[tuple(row.get("categories") or ())],
        available_from=first[row.get("available_from")],
        is_available=row.get("is_available") is not False,
        tags=first[tuple(row.get("tags") or ())],
        price=row.get("price"),
        attributes=first[row.get("attributes") or "{}"],
        updated_at=first[row.get("updated_at")],
    )


def _live_item(change: ItemChange) -> CatalogueItem:
    item = change.item
    if change.is_deleted:
        return CatalogueItem(item.item_id, None, (), None, is_available=False, is_deleted=True)
    return CatalogueItem(
        item_id=item.item_id,
        title=item.title,
        categories=tuple(item.categories),
        available_from=item.available_from,
        is_available=item.is_available,
        tags=tuple(item.tags),
        price=item.price,
        attributes=json_text(item.attributes),
        updated_at=item.updated_at,
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
            present = [name for name in pyarrow.parquet.read_schema(self._path).names if name in COLUMNS]
            self._catalogue = from_table(pyarrow.parquet.read_table(self._path, columns=present))
        except (OSError, pyarrow.ArrowException) as error:
            # dbt replaces the file; what is half there now is whole at the next change.
            logger.warning("catalogue cannot be read, keeping the last one", extra={"error": str(error)})
        self._stamp = stamp
        return self._catalogue

    def row(self, item_id: str) -> dict[str, Any] | None:
        """All that the newest batch says of one item; None when there is nothing."""
        import pyarrow
        import pyarrow.parquet

        try:
            rows = pyarrow.parquet.read_table(self._path, filters=[("item_id", "=", item_id)]).to_pylist()
        except (OSError, pyarrow.ArrowException):
            return None
        return rows[0] if rows else None

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino
