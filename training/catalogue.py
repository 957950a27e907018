"""What could be recommended at which moment: the items a model was trained with, then those that came later.

A list for a past moment must not know what came after it: neither an item that had not arrived, nor its later words.
So the rows after the model's own stand in order of arrival, and an item whose words change has a row for each wording;
the catalogue of any moment is the beginning of the rows, and of an item's rows only one can be recommended.
"""

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from training.dataset import ALWAYS, Marts
from training.history import PADDING
from training.snapshot import FOREVER


@dataclass(frozen=True)
class Catalogue:
    """R rows: the model's V items in its order, then the others by arrival."""

    item_ids: list[str]  # (R,)
    n_known: int
    """V."""
    texts: list[str]
    """(R − V,) of the rows that the model does not know."""
    arrived_at: NDArray[np.int64]
    """(R − V,) microseconds, ascending."""
    first_row: NDArray[np.int64]
    """(R,) the first row of the same item: where histories and counts have it."""
    row: NDArray[np.int64]
    """(I,) intervals in which a row can be recommended …"""
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    """… from a moment on, until before another one."""
    begins: int
    """When the first item was known. What is asked about an earlier moment is answered from what there was then."""

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The first row of each item."""
        return {self.item_ids[row]: row for row in np.unique(self.first_row).tolist()}

    @cached_property
    def lot(self) -> NDArray[np.int64]:
        """(R,) what decides between equal scores: drawn by the item's id, whatever else is in the catalogue."""
        return np.array([zlib.crc32(item_id.encode()) for item_id in self.item_ids], dtype=np.int64)

    def rows_of(self, items: NDArray[np.int32], n_rows: int) -> NDArray[np.bool_]:
        """(n_rows,) which of the first rows belong to items, given by their first rows."""
        chosen = np.zeros(len(self.item_ids), dtype=bool)
        chosen[items] = True
        return chosen[self.first_row[:n_rows]]

    def n_rows(self, until: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) the rows that had arrived by each moment, that moment included."""
        found: NDArray[np.int64] = np.searchsorted(self.arrived_at, np.maximum(until, self.begins), side="right")
        return self.n_known + found

    def can_be_shown(self, until: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(B, R) what was there and available at each of ascending moments."""
        moments = np.maximum(until, self.begins)
        change = np.zeros((len(moments) + 1, len(self.item_ids)), dtype=np.int8)
        np.add.at(change, (np.searchsorted(moments, self.start), self.row), 1)
        np.add.at(change, (np.searchsorted(moments, self.end), self.row), -1)
        return np.asarray(np.cumsum(change[:-1], axis=0, dtype=np.int8) > 0)


def catalogue_of(marts: Marts, known_ids: list[str]) -> Catalogue:
    """The marts' whole catalogue, seen from a model that was trained with ``known_ids``."""
    versions = marts.tables["dim_item_versions"]  # by item and moment
    ids = versions["item_id"].to_pylist()
    valid_from = _micros(versions["valid_from"], ALWAYS)
    row_of = {item_id: row for row, item_id in enumerate(known_ids)}
    row = np.array([row_of.get(item_id, PADDING) for item_id in ids], dtype=np.int64)

    new = np.flatnonzero(row == PADDING)
    new_ids, texts = [ids[version] for version in new], marts.texts(versions.take(pa.array(new)), ALWAYS)
    said = list(zip(new_ids, texts, strict=True))
    is_wording = np.array([text != before for text, before in zip(said, [None, *said], strict=False)], dtype=bool)
    wordings = np.flatnonzero(is_wording)  # another price is no new row
    arrival = np.argsort(valid_from[new[wordings]], kind="stable")
    place = np.empty_like(arrival)
    place[arrival] = np.arange(len(arrival))
    row[new] = len(known_ids) + place[np.cumsum(is_wording) - 1]

    item_ids = [*known_ids, *(new_ids[version] for version in wordings[arrival])]
    for number, item_id in enumerate(item_ids):
        row_of.setdefault(item_id, number)
    start = np.maximum(valid_from, _micros(versions["available_from"], ALWAYS))
    end = _micros(versions["valid_to"], FOREVER)
    shown = pc.fill_null(versions["is_available"], True).to_numpy() & (start < end)
    return Catalogue(
        item_ids=item_ids,
        n_known=len(known_ids),
        texts=[texts[version] for version in wordings[arrival]],
        arrived_at=valid_from[new[wordings[arrival]]],
        first_row=np.array([row_of[item_id] for item_id in item_ids], dtype=np.int64),
        row=row[shown],
        start=start[shown],
        end=end[shown],
        begins=int(valid_from.min(initial=FOREVER)),
    )


def _micros(moments: pa.ChunkedArray, missing: int) -> NDArray[np.int64]:
    micros = pc.cast(pc.cast(moments, pa.timestamp("us", tz="UTC")), pa.int64())
    return np.asarray(pc.fill_null(micros, missing).to_numpy(), dtype=np.int64)
