"""Simulated events as columns: what happened, to whom, when, without the words."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ingestion.simulator_world import Floats, Ints

KINDS = ("view", "click", "add_to_cart", "purchase", "rating", "like", "hide", "search", "impression")
VIEW, CLICK, ADD_TO_CART, PURCHASE, RATING, LIKE, HIDE, SEARCH, IMPRESSION = range(len(KINDS))


@dataclass(frozen=True)
class Rows:
    """Some events. In sessions, recommendations and items −1 stands for none."""

    kind: Ints
    user: Ints
    item: Ints
    """Of a search: the thing they had in mind, which only the query tells."""
    at_us: Ints
    """Microseconds since the start of the world."""
    session: Ints
    value: Floats
    recommendation: Ints
    rank: Ints
    """1 for the first place of a shown list, 0 outside of lists."""

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, chosen: np.ndarray) -> "Rows":
        """The chosen rows, by mask or by position."""
        return Rows(*(getattr(self, field.name)[chosen] for field in fields(self)))


def rows(
    kind: int,
    user: Ints,
    item: Ints,
    at_us: Ints,
    session: Ints,
    *,
    value: Floats | None = None,
    recommendation: Ints | None = None,
    rank: int = 0,
) -> Rows:
    """Events of one kind; what is left out is none."""
    n = len(user)
    return Rows(
        np.full(n, kind),
        user,
        item,
        at_us,
        session,
        np.full(n, np.nan) if value is None else value,
        np.full(n, -1) if recommendation is None else recommendation,
        np.full(n, rank),
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows of the parts."""
    return Rows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Rows)))
