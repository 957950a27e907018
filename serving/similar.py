"""Items beside an item, from the model's own notion of similarity."""

import time
from dataclasses import dataclass
from itertools import islice

from serving.current_snapshot import CurrentSnapshot
from serving.schemas import SimilarItem, SimilarItems


class UnknownItemError(LookupError):
    """The model has not met this item."""


class NoModelError(LookupError):
    """No champion is loaded, so nothing is similar to anything."""


@dataclass(frozen=True)
class SimilarItemsFinder:
    """Answers from the current snapshot."""

    current: CurrentSnapshot

    def similar(self, item_id: str, n: int) -> SimilarItems:
        """The n available items most similar to this one. Raises UnknownItemError or NoModelError."""
        started = time.perf_counter()
        snapshot = self.current.snapshot
        model = snapshot.model
        if model is None:
            raise NoModelError("no champion is loaded: /readyz says why")
        index = model.item_index.get(item_id)
        if index is None:
            raise UnknownItemError(f"the model {model.ref.version} does not know item {item_id!r}")
        allowed = snapshot.is_available
        # Unavailable ones are dropped, so ask for as many more.
        n_hidden = 0 if allowed is None else int((~allowed).sum())
        wanted = min(n + n_hidden, len(model.item_index) - 1)
        found = [
            (int(other), float(score))
            for other, score in model.recommender.similar(index, wanted)
            if other != index and (allowed is None or allowed[other])
        ]
        items = []
        for rank, (other, score) in enumerate(islice(found, n), start=1):
            item = snapshot.catalogue.get(str(model.recommender.item_ids[other]))
            items.append(
                SimilarItem(
                    item_id=item.item_id,
                    rank=rank,
                    score=round(score, 6),
                    title=item.title,
                    categories=list(item.categories),
                )
            )
        took_ms = round((time.perf_counter() - started) * 1_000, 3)
        return SimilarItems(item_id=item_id, items=items, model=model.ref, took_ms=took_ms)
