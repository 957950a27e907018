"""What a score is made of, line by line: the heads, and for heads that sum over the history, the items of it.

For those (item-item, transitions, text, own history) it is exact: the terms of all items met add up to the head's raw
score. What the head then adds is that score beside those of the whole catalogue, as a logarithm and weighed (and for
``text_new`` by how new the item is), which is no longer a sum over items. The sequence head reads the history as a
whole, and trends read none.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serving.catalogue import Catalogue
from serving.reasons import Explainer
from serving.schemas import Contribution, Explanation, HistoryTerm
from serving.snapshot import ServedModel
from training.blend import REGIMES, regime_of
from training.history import HistoryBatch
from training.llm_recommender import TEXT
from training.neighbours import Neighbours
from training.new_items import GrownNeighbours
from training.newness import TEXT_NEW

MAX_ITEMS: Final = 5
"""Items of the history that an explanation names for each head."""
_SUMS: Final = frozenset({"item_item", "transitions", TEXT, TEXT_NEW, "own_history"})

Terms = NDArray[np.float32]


def explained(
    model: ServedModel,
    catalogue: Catalogue,
    batch: HistoryBatch,
    parts: Mapping[str, NDArray[np.float32]],
    shown: NDArray[np.int64],
) -> list[Explanation]:
    """One explanation for each item shown; the arguments are those of an Explainer."""
    regime = int(regime_of(batch)[0])
    met, line_of = np.unique(batch.items[0], return_inverse=True)
    history = [str(model.recommender.item_ids[index]) for index in met]
    terms = {
        head: _by_item(terms_of(head, model, catalogue, batch, shown), line_of, len(met))
        for head in parts
        if head in _SUMS and len(met)
    }

    def contribution(part: str, line: int) -> Contribution:
        of_items = terms[part][line] if part in terms else np.zeros(0, dtype=np.float32)
        largest = [place for place in np.argsort(-np.abs(of_items), kind="stable")[:MAX_ITEMS] if of_items[place]]
        return Contribution(
            part=part,
            contribution=_rounded(parts[part][line]),
            raw_score=_rounded(of_items.sum()) if part in terms else None,
            items=[
                HistoryTerm(item_id=history[at], title=catalogue.get(history[at]).title, term=_rounded(of_items[at]))
                for at in largest
            ],
        )

    return [
        Explanation(
            moment=REGIMES[regime],
            gate=_rounded(model.recommender.recency.a),
            contributions=[
                contribution(part, line) for part in sorted(parts, key=lambda part: -abs(float(parts[part][line])))
            ],
        )
        for line in range(len(shown))
    ]


def terms_of(
    head: str, model: ServedModel, catalogue: Catalogue, batch: HistoryBatch, shown: NDArray[np.int64]
) -> Terms:
    """(N, T) what each item of the history adds to the head's raw score of each item shown."""
    terms = Explainer(model, catalogue, batch, {}, shown).terms_of(head)
    neighbours: Neighbours | None = getattr(model.recommender, head, None)
    if not isinstance(neighbours, GrownNeighbours):
        return terms
    # An item that came after the training has no neighbours of its own: it follows the items that it reads like.
    n_trained = len(neighbours.items)
    for line in np.flatnonzero(shown >= n_trained):
        followed = neighbours.likeness.items[shown[line] - n_trained].astype(np.int64)
        shares = neighbours.likeness.shares[shown[line] - n_trained]
        terms[line] += shares @ Explainer(model, catalogue, batch, {}, followed).terms_of(head)
    return terms


def _by_item(terms: Terms, line_of: NDArray[np.intp], n_items: int) -> Terms:
    """(N, T) -> (N, M): an item that was met several times speaks once."""
    by_item = np.zeros((len(terms), n_items), dtype=np.float32)
    np.add.at(by_item.T, line_of, terms.T)
    return by_item


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 6)
