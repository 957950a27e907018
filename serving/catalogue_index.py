"""The catalogue by what its items are: labels, prices, attributes and names, each as arrays over its rows.

Made once per exported catalogue, when a request first asks for a filter or a query; the plain list never needs it.
Items that are put or deleted are added to it, so that a change costs what it is and not what the catalogue is.
"""

import json
import re
from collections import ChainMap, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from serving.catalogue import CatalogueItem

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]
Scalar = str | int | float | bool
AttributeKey = tuple[str, type, Scalar]
Key = TypeVar("Key", bound=Hashable)

_NO_ROWS: Final = np.empty(0, dtype=np.int32)

_WORD: Final = re.compile(r"[^\W_]+")
_YEAR: Final = re.compile(r"\s*\(\d{4}\)\s*$")
_FUNCTION_WORDS: Final = frozenset(
    {"a", "an", "the", "of", "and", "or", "in", "on", "at", "to", "for", "with", "by", "from", "about", "is", "are"}
    | {"be", "it", "its", "my", "me", "i", "we", "you", "that", "this", "some", "any", "something", "anything"}
    | {"like", "want", "show", "find", "looking", "please"}
)
"""They stand in many names and in most questions, and say nothing of either."""


class RowsBy(Generic[Key]):
    """In which rows each key stands: of a catalogue, and of what has changed since in rows behind it."""

    def __init__(
        self, rows: Mapping[Key, Rows], changed: Mapping[Key, Rows] | None = None, is_gone: Mask | None = None
    ) -> None:
        """``is_gone`` (C,) are the rows of ``rows`` that ``changed`` tells anew."""
        self._rows, self._changed, self._is_gone = rows, changed or {}, is_gone

    def get(self, key: Key) -> Rows:
        """The rows of a key; none where nothing has it."""
        found = self._rows.get(key, _NO_ROWS)
        if self._is_gone is None:
            return found
        return np.concatenate([found[~self._is_gone[found]], self._changed.get(key, _NO_ROWS)])

    def __contains__(self, key: Key) -> bool:
        return bool(len(self.get(key)))

    def __iter__(self) -> Iterator[Key]:
        """Every key that is in some row."""
        yield from self._changed
        for key, rows in self._rows.items():
            if self._is_gone is None or (key not in self._changed and not self._is_gone[rows].all()):
                yield key

    def changed(self, others: "RowsBy[Key]", is_gone: Mask) -> "RowsBy[Key]":
        """These without what is gone, and behind them the rows of others."""
        return RowsBy(self._rows, {key: rows + len(is_gone) for key, rows in others._rows.items()}, is_gone)


@dataclass(frozen=True)
class CatalogueIndex:
    """C rows, in the order of the catalogue's items. A changed item has a new row behind all others."""

    item_ids: Sequence[str]
    row_of: MutableMapping[str, int]
    n_items: int
    """How many of the rows are items, and not what they were before they changed."""
    price: NDArray[np.float64]
    categories: RowsBy[str]
    tags: RowsBy[str]
    attributes: RowsBy[AttributeKey]
    titles: RowsBy[str]
    words: RowsBy[str]

    @classmethod
    def of(cls, items: Iterable["CatalogueItem"]) -> Self:
        """Reads every item once."""
        known = list(items)
        return cls(
            item_ids=[item.item_id for item in known],
            row_of={item.item_id: row for row, item in enumerate(known)},
            n_items=len(known),
            price=np.array([np.nan if item.price is None else item.price for item in known], dtype=np.float64),
            categories=_inverted((label.casefold() for label in item.categories) for item in known),
            tags=_inverted((label.casefold() for label in item.tags) for item in known),
            attributes=_inverted(_attributes(item.attributes) for item in known),
            titles=_inverted([name_of(item.title)] if item.title else [] for item in known),
            words=_inverted(set(words_of(item.title or "")) for item in known),
        )

    def changed(self, items: Iterable["CatalogueItem"]) -> Self:
        """With these items as they are now, some of them new; of an index that has not been changed itself."""
        others, first = type(self).of(items), len(self)
        gone = [row for item_id in others.item_ids if (row := self.row_of.get(item_id)) is not None]
        is_gone = self.mask(np.array(gone, dtype=np.int32))
        return replace(
            self,
            item_ids=[*self.item_ids, *others.item_ids],
            row_of=ChainMap({item_id: first + row for item_id, row in others.row_of.items()}, self.row_of),
            n_items=self.n_items - len(gone) + len(others),
            price=np.concatenate([np.where(is_gone, np.nan, self.price), others.price]),
            categories=self.categories.changed(others.categories, is_gone),
            tags=self.tags.changed(others.tags, is_gone),
            attributes=self.attributes.changed(others.attributes, is_gone),
            titles=self.titles.changed(others.titles, is_gone),
            words=self.words.changed(others.words, is_gone),
        )

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def has_prices(self) -> bool:
        """Any item has a price."""
        return bool(np.isfinite(self.price).any())

    @cached_property
    def labels(self) -> frozenset[str]:
        """Every category and tag, casefolded."""
        return frozenset(self.categories) | frozenset(self.tags)

    def with_label(self, label: str) -> Mask:
        """(C,) items of this category or tag."""
        return self.mask(self.categories.get(label)) | self.mask(self.tags.get(label))

    def with_word(self, word: str) -> Mask:
        """(C,) items with this word in their name."""
        return self.mask(self.words.get(word.casefold()))

    def mask(self, rows: Rows) -> Mask:
        """(C,) true in these rows."""
        found = np.zeros(len(self), dtype=bool)
        found[rows] = True
        return found

    def names_like(self, text: str) -> NDArray[np.float32]:
        """(C,) how much of the text's words, rare ones counting most, stands in an item's name: 0 to 1, squared.

        2 where the text is the whole name.
        """
        share = np.zeros(len(self), dtype=np.float32)
        rows_of = {word: self.words.get(word) for word in set(words_of(text)) - _FUNCTION_WORDS}
        rarity = {word: np.log1p(self.n_items / (1 + len(rows))) for word, rows in rows_of.items()}
        for word, rows in rows_of.items():
            share[rows] += rarity[word]
        if rows_of:
            share = np.square(share / np.float32(sum(rarity.values())))
        share[self.titles.get(name_of(text))] = 2
        return share


def words_of(text: str) -> list[str]:
    """Words, casefolded."""
    return _WORD.findall(text.casefold())


def name_of(text: str) -> str:
    """What two spellings of one name have in common; a year in brackets at the end is no part of it."""
    return " ".join(words_of(_YEAR.sub("", text)))


def _inverted(keys_of_rows: Iterable[Iterable[Key]]) -> RowsBy[Key]:
    rows: defaultdict[Key, list[int]] = defaultdict(list)
    for row, keys in enumerate(keys_of_rows):
        for key in keys:
            rows[key].append(row)
    return RowsBy({key: np.array(found, dtype=np.int32) for key, found in rows.items()})


def _attributes(text: str) -> list[AttributeKey]:
    """Attributes as keys to be looked up by; each value of a list is one of its own."""
    if text == "{}":
        return []
    parsed: Mapping[str, object] = json.loads(text)
    return [
        attribute_key(name, value)
        for name, values in parsed.items()
        for value in (values if isinstance(values, list) else [values])
        if isinstance(value, Scalar)
    ]


def attribute_key(name: str, value: Scalar) -> AttributeKey:
    """Equal numbers are equal however they are written, true is not 1, and words are equal in any case."""
    if isinstance(value, str):
        return name, str, value.casefold()
    return name, bool if isinstance(value, bool) else float, value
