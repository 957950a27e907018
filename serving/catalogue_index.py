"""The catalogue by what its items are: labels, prices, attributes and names, each as arrays over its rows.

Made once per catalogue, when a request first asks for a filter or a query; the plain list never needs it.
"""

import json
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from serving.catalogue import CatalogueItem

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]
Scalar = str | int | float | bool
Key = TypeVar("Key", bound=Hashable)

_WORD: Final = re.compile(r"[^\W_]+")
_YEAR: Final = re.compile(r"\s*\(\d{4}\)\s*$")
_FUNCTION_WORDS: Final = frozenset(
    {"a", "an", "the", "of", "and", "or", "in", "on", "at", "to", "for", "with", "by", "from", "about", "is", "are"}
    | {"be", "it", "its", "my", "me", "i", "we", "you", "that", "this", "some", "any", "something", "anything"}
    | {"like", "want", "show", "find", "looking", "please"}
)
"""They stand in many names and in most questions, and say nothing of either."""


class CatalogueIndex:
    """C rows, in the order of the catalogue's items."""

    def __init__(self, items: Iterable["CatalogueItem"]) -> None:
        """Reads every item once."""
        known = list(items)
        self.item_ids = [item.item_id for item in known]
        self.row_of = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self.price = np.array([np.nan if item.price is None else item.price for item in known], dtype=np.float64)
        self.categories = _inverted((label.casefold() for label in item.categories) for item in known)
        self.tags = _inverted((label.casefold() for label in item.tags) for item in known)
        self.attributes = _inverted(_attributes(item.attributes) for item in known)
        self.titles = _inverted([name_of(item.title)] if item.title else [] for item in known)
        self._words = _inverted(set(words_of(item.title or "")) for item in known)
        self.has_prices = bool(np.isfinite(self.price).any())

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def labels(self) -> frozenset[str]:
        """Every category and tag, casefolded."""
        return frozenset(self.categories) | frozenset(self.tags)

    def with_label(self, label: str) -> Mask:
        """(C,) items of this category or tag."""
        return self.mask(self.categories.get(label)) | self.mask(self.tags.get(label))

    def with_word(self, word: str) -> Mask:
        """(C,) items with this word in their name."""
        return self.mask(self._words.get(word.casefold()))

    def mask(self, rows: Rows | None) -> Mask:
        """(C,) true in these rows; in none where there are no rows."""
        found = np.zeros(len(self), dtype=bool)
        if rows is not None:
            found[rows] = True
        return found

    def names_like(self, text: str) -> NDArray[np.float32]:
        """(C,) how much of the text's words, rare ones counting most, stands in an item's name: 0 to 1, squared.

        2 where the text is the whole name.
        """
        share = np.zeros(len(self), dtype=np.float32)
        words = {word for word in words_of(text) if word not in _FUNCTION_WORDS}
        rarity = {word: np.log1p(len(self) / (1 + len(self._words.get(word, ())))) for word in words}
        for word, weight in rarity.items():
            if word in self._words:
                share[self._words[word]] += weight
        if words:
            share = np.square(share / np.float32(sum(rarity.values())))
        if (rows := self.titles.get(name_of(text))) is not None:
            share[rows] = 2
        return share


def words_of(text: str) -> list[str]:
    """Words, casefolded."""
    return _WORD.findall(text.casefold())


def name_of(text: str) -> str:
    """What two spellings of one name have in common; a year in brackets at the end is no part of it."""
    return " ".join(words_of(_YEAR.sub("", text)))


def _inverted(keys_of_rows: Iterable[Iterable[Key]]) -> dict[Key, Rows]:
    rows: defaultdict[Key, list[int]] = defaultdict(list)
    for row, keys in enumerate(keys_of_rows):
        for key in keys:
            rows[key].append(row)
    return {key: np.array(found, dtype=np.int32) for key, found in rows.items()}


def _attributes(text: str) -> list[tuple[str, type, Scalar]]:
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


def attribute_key(name: str, value: Scalar) -> tuple[str, type, Scalar]:
    """Equal numbers are equal however they are written, true is not 1, and words are equal in any case."""
    if isinstance(value, str):
        return name, str, value.casefold()
    return name, bool if isinstance(value, bool) else float, value
