"""The model, the catalogue and the popularity that answers are made from: one immutable object, replaced as a whole.

A request takes the snapshot once and uses it to its end, so an answer never mixes two models or two catalogues.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serving.catalogue import Catalogue
from serving.placed_rules import PlacedRules
from serving.popular_items import PopularItems
from serving.rules import Rules
from serving.schemas import ModelRef
from training.new_items import n_trained
from training.newness import RARELY_MET

if TYPE_CHECKING:
    import pyarrow

    from serving.text_tower import TextTower
    from training.llm_recommender import LLMRecommender
    from training.quick_scores import QuickScores


@dataclass(frozen=True)
class ServedModel:
    """One registered version, loaded and warmed up."""

    ref: ModelRef
    recommender: "LLMRecommender"
    item_index: dict[str, int]
    items: "pyarrow.Table"  # as they were when the model was trained
    knows_strangers: bool  # it ranks by popularity where there is no history; otherwise popular items are the answer
    tower: "TextTower | None" = None  # reads new items and queries; None where the bundle does not say how
    quick: "QuickScores | None" = None  # finds what can lead a list; None where scoring everything is as quick

    @property
    def n_trained(self) -> int:
        """Items of the training, which stand before all that came since."""
        return n_trained(self.recommender)

    @property
    def new_item_ids(self) -> "list[str]":
        """Items that came since the training, in the model's order."""
        return [str(item_id) for item_id in self.recommender.item_ids[self.n_trained :]]


@dataclass(frozen=True)
class Snapshot:
    """All that one answer needs besides the user."""

    model: ServedModel | None = None
    catalogue: Catalogue = field(default_factory=Catalogue)
    popularity: NDArray[np.float32] | None = None  # (V, 4) in the model's order; None: use the model's own
    quick: "QuickScores | None" = None  # the model's, with this popularity
    is_available: NDArray[np.bool_] | None = None  # (V,)
    popular: PopularItems = field(default_factory=PopularItems)
    missing: frozenset[str] = frozenset()
    trained_rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """(V',) where the items of the model's training stand among the exported ones; -1 for nowhere."""
    _placed: dict[Rules, PlacedRules] = field(default_factory=dict, init=False, compare=False, repr=False)

    def placed(self, rules: Rules) -> PlacedRules:
        """Rules over these items; worked out when they are first asked for."""
        if rules not in self._placed:
            self._placed[rules] = PlacedRules.over(rules, self.catalogue.index, self.catalogue_rows)
        return self._placed[rules]

    @cached_property
    def is_cold(self) -> NDArray[np.bool_]:
        """(V,) items that nobody or hardly anybody has met, as far as the popularity of these answers knows."""
        counts = self.popularity
        if counts is None:
            counts = self.model.recommender.popularity if self.model else np.zeros((0, 4), dtype=np.float32)
        return np.asarray(counts[:, -1] <= RARELY_MET, dtype=np.bool_)

    @cached_property
    def catalogue_rows(self) -> NDArray[np.int64]:
        """(V,) where the model's items stand in the catalogue's index; -1 for those that nobody described."""
        if self.model is None:
            return np.empty(0, dtype=int)
        row_of, index_of = self.catalogue.index.row_of, self.model.item_index
        rows = np.concatenate([self.trained_rows, np.full(len(index_of) - len(self.trained_rows), -1)])
        for item_id in (*self.model.new_item_ids, *self.catalogue.changes):
            if item_id in index_of:
                rows[index_of[item_id]] = row_of.get(item_id, -1)
        return rows

    def of_model(self, values: NDArray[np.generic], otherwise: float) -> NDArray[Any]:
        """(V,) of values over the catalogue (C,); ``otherwise`` for what nobody described."""
        if not len(values):
            return np.full(len(self.catalogue_rows), otherwise, dtype=values.dtype)
        return np.where(self.catalogue_rows >= 0, values[self.catalogue_rows], values.dtype.type(otherwise))
