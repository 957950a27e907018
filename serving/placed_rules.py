"""Rules over the items of one snapshot, as arrays: worked out once for each snapshot, and never by an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving.catalogue_index import CatalogueIndex, Mask
from serving.rules import Rule, Rules

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class PlacedRules:
    """Which items each rule is about. An item that nobody described matches no rule but a pin."""

    rules: Rules
    row_of: Mapping[str, int]
    matched: tuple[Mask, ...]  # (C,) for each of ``rules.matching``
    model_rows: Rows  # (V,) where the model's items stand in the catalogue, -1 for nowhere

    @classmethod
    def over(cls, rules: Rules, index: CatalogueIndex, model_rows: Rows) -> "PlacedRules":
        """Look every rule's items up."""
        matched = tuple(rule.where.mask(index) for rule in rules.matching if rule.where is not None)
        placed = cls(rules, index.row_of, matched, model_rows)
        _ = placed.by_boost, placed.turns  # now, and not in the first answer
        return placed

    def concerning(self, item_id: str) -> list[Rule]:
        """The rules that match an item, without pins."""
        row = self.row_of.get(item_id)
        if row is None:
            return []
        return [rule for rule, mask in zip(self.rules.matching, self.matched, strict=True) if mask[row]]

    def beside(self, item_id: str, reason: str) -> str:
        """A reason, and what the rules did beside it."""
        return " ".join([reason, *(rule.words for rule in self.concerning(item_id))])

    def forbid(self, item_id: str) -> bool:
        """Whether an item is on no list."""
        return any(rule.bury == "never" for rule in self.concerning(item_id))

    def is_turn_of(self, item_id: str, turn: int) -> bool:
        """Whether an item may be shown at this turn: first all that is not buried, then what is last."""
        is_last = any(rule.bury == "last" for rule in self.concerning(item_id))
        return is_last == bool(turn) and not self.forbid(item_id)

    @cached_property
    def boost(self) -> NDArray[np.float32] | None:
        """(V,) what the rules add to the model's scores; None where that is nothing."""
        boost = np.zeros(len(self.model_rows), dtype=np.float32)
        for rule, mask in zip(self.rules.matching, self.matched, strict=True):
            if rule.boost is not None:
                boost[self._of_model(mask)] += np.float32(rule.boost)
        return boost if boost.any() else None

    @cached_property
    def by_boost(self) -> tuple[Mask, ...]:
        """(V,) the items of each boost, those without one too; none where no item has any."""
        if self.boost is None:
            return ()
        return tuple(self.boost == value for value in np.unique(self.boost))

    @cached_property
    def turns(self) -> tuple[Mask, ...]:
        """(V,) what may be shown first, and then what is last; one of them where nothing is."""
        never, last = self._buried("never"), self._buried("last")
        has_last = any(rule.bury == "last" for rule in self.rules.matching)
        return (~never & ~last, ~never & last) if has_last else (~never,)

    def _buried(self, how: str) -> Mask:
        masks = zip(self.rules.matching, self.matched, strict=True)
        found = [self._of_model(mask) for rule, mask in masks if rule.bury == how]
        nothing = np.zeros(len(self.model_rows), dtype=bool)
        return np.asarray(np.any([nothing, *found], axis=0), dtype=bool)

    def _of_model(self, mask: Mask) -> Mask:
        found = np.zeros(len(self.model_rows), dtype=bool)
        is_described = self.model_rows >= 0
        found[is_described] = mask[self.model_rows[is_described]]
        return found
