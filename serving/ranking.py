"""The order of the list: the model's scores without what must not be shown, then popular items where it has no more."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearline.session_features import UserState, to_us
from serving.reasons import Explainer
from serving.schemas import RecommendedItem, Source
from serving.snapshot import PopularItem, ServedModel, Snapshot
from serving.wishes import PLAIN, Plan
from training.history import History, HistoryBatch
from training.quick_scores import Shortlist

PROPENSITY: Final = 1.0
"""The ranking is deterministic: what is shown is shown with certainty."""


class _Line(NamedTuple):
    item_id: str
    score: float
    source: Source
    reason: str


def rank(
    snapshot: Snapshot, state: UserState, n: int, excluded: frozenset[str], now: datetime, plan: Plan | None = None
) -> list[RecommendedItem]:
    """The list for one user. Nothing the user has met, turned down, asked to leave out, or cannot get is on it.

    A ``plan`` over the same snapshot says what else was asked for.
    """
    plan = plan or PLAIN.on(snapshot)
    hidden = excluded | plan.hidden(state)
    lines = chain(
        _popular(plan.named_beside_the_model(), hidden),
        _by_model(snapshot, state, n, hidden, now, plan),
        _popular(plan.popular(), hidden),
    )
    distinct: dict[str, _Line] = {}
    for line in lines:
        distinct.setdefault(line.item_id, line)
        if len(distinct) == n:
            break
    return [_shown(snapshot, line, rank) for rank, line in enumerate(distinct.values(), start=1)]


def history_of(state: UserState, model: ServedModel) -> History:
    """The user's recent positive interactions with items the model knows, newest last."""
    index_of = model.item_index.get
    known = [
        (index, event.occurred_at_us)
        for event in state.recent
        if (index := index_of(event.item_id)) is not None and not event.is_negative
    ]
    return History(
        np.array([index for index, _ in known], dtype=np.int32), np.array([at for _, at in known], dtype=np.int64)
    )


def top_n(scores: NDArray[np.floating], n: int) -> NDArray[np.int64]:
    """Indices of the n largest finite scores, largest first, ties by index."""
    if n < len(scores):
        threshold = np.partition(scores, len(scores) - n)[len(scores) - n]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    candidates = candidates[np.isfinite(scores[candidates])]
    best: NDArray[np.int64] = candidates[np.lexsort((candidates, -scores[candidates]))][:n]
    return best


def _by_model(
    snapshot: Snapshot, state: UserState, n: int, hidden: frozenset[str], now: datetime, plan: Plan
) -> Iterator[_Line]:
    model = snapshot.model
    if model is None:
        return
    batch = HistoryBatch.of([history_of(state, model)], [to_us(now)])
    is_stranger = not batch.lengths[0]
    if is_stranger and not model.knows_strangers and not plan.has_query:
        return
    may_be_shown = plan.may_be_shown(model)
    met = [index for index in map(model.item_index.get, hidden) if index is not None]
    may_be_shown[met] = False
    n_best = plan.pool(n)
    quick = snapshot.quick if snapshot.quick and not plan.has_query else None
    few = quick.shortlist(batch, n_best, may_be_shown, len(met)) if quick else None
    best = _best_of_few(few, n_best) if few else _best_of_all(snapshot, model, batch, n_best, may_be_shown, plan)
    order = plan.order(model, best.scores, best.items, n)
    shown, scores = best.items[order], best.scores[order]
    parts = {head: part[order] for head, part in best.parts.items()}
    reasons = Explainer(model, snapshot.catalogue, batch, parts, shown).reasons()
    source: Source = "cold_start" if is_stranger else "model"
    for index, score, reason in zip(shown.tolist(), scores.tolist(), reasons, strict=True):
        item_id = model.recommender.item_ids[index]
        yield _Line(item_id, score, source, plan.reason(item_id, reason))


class _Best(NamedTuple):
    items: NDArray[np.int64]  # (N,) best first
    scores: NDArray[np.float32]  # (N,)
    parts: dict[str, NDArray[np.float32]]  # (N,) what each head adds


def _best_of_few(few: Shortlist, n: int) -> _Best:
    scores = few.scores()
    best = top_n(scores, n)
    return _Best(few.items[best], scores[best], {head: part[best] for head, part in few.parts.items()})


def _best_of_all(
    snapshot: Snapshot, model: ServedModel, batch: HistoryBatch, n: int, may_be_shown: NDArray[np.bool_], plan: Plan
) -> _Best:
    quick = snapshot.quick
    parts = quick.parts_at(batch) if quick else model.recommender.parts_at(batch, snapshot.popularity)
    scores = plan.scores(model, np.stack(list(parts.values())).sum(axis=0, dtype=np.float32))
    scores[~may_be_shown] = -np.inf
    best = top_n(scores, n)
    return _Best(best, scores[best], {head: part[best] for head, part in parts.items()})


def _popular(items: Iterable[PopularItem], hidden: frozenset[str]) -> Iterator[_Line]:
    for item in items:
        if item.item_id not in hidden:
            yield _Line(item.item_id, item.score, "popular", item.reason)


def _shown(snapshot: Snapshot, line: _Line, rank: int) -> RecommendedItem:
    item = snapshot.catalogue.get(line.item_id)
    return RecommendedItem(
        item_id=line.item_id,
        rank=rank,
        score=round(line.score, 6),
        source=line.source,
        reason=line.reason,
        propensity=PROPENSITY,
        title=item.title,
        categories=list(item.categories),
    )
