"""The order of the list: the model's scores without what must not be shown, then popular items where it has no more."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import reduce
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearline.session_features import UserState, to_us
from serving.explanations import explained
from serving.popular_items import PopularItem
from serving.reasons import Explainer
from serving.schemas import Explanation, RecommendedItem, Source
from serving.snapshot import ServedModel, Snapshot
from serving.wishes import PLAIN, Plan
from training.history import History, HistoryBatch
from training.quick_scores import Shortlist

PROPENSITY: Final = 1.0
"""The ranking is deterministic: what is shown is shown with certainty."""
_RESERVED: Final = "Hardly anybody knows it yet: this place is kept for such items."


class _Line(NamedTuple):
    item_id: str
    score: float | None
    source: Source
    reason: str
    explanation: Explanation | None = None


def rank(
    snapshot: Snapshot, state: UserState, n: int, excluded: frozenset[str], now: datetime, plan: Plan | None = None
) -> list[RecommendedItem]:
    """The list for one user. Nothing the user has met, turned down, asked to leave out, or cannot get is on it.

    A ``plan`` over the same snapshot says what else was asked for.
    """
    plan = plan or PLAIN.on(snapshot)
    hidden = excluded | plan.hidden(state)
    pinned = _pinned(plan, n, hidden, now)
    n_ranked = n - len(pinned)
    if pinned:
        hidden = hidden.union(line.item_id for line in pinned.values())
    lines = chain.from_iterable(
        chain(
            _popular(turn.named_beside_the_model(), hidden),
            _by_model(snapshot, state, n_ranked, hidden, now, turn),
            _popular(turn.popular(), hidden),
        )
        for turn in plan.turns()
        if n_ranked
    )
    distinct: dict[str, _Line] = {}
    for line in lines:
        distinct.setdefault(line.item_id, line)
        if len(distinct) == n_ranked:
            break
    ranked = list(distinct.values())
    if plan.rules is not None:
        ranked = [line._replace(reason=plan.rules.beside(line.item_id, line.reason)) for line in ranked]
    for place, line in pinned.items():  # from the top down, so that each stands where it should
        ranked.insert(place - 1, line)
    return [_shown(snapshot, line, rank) for rank, line in enumerate(ranked, start=1)]


def _pinned(plan: Plan, n: int, hidden: frozenset[str], now: datetime) -> dict[int, _Line]:
    """By place, what rules put there and the request allows."""
    return {
        rule.at: _Line(rule.pin, None, "pinned", rule.words)
        for rule in plan.wish.scenario.rules.pins
        if rule.at is not None and rule.at <= n and rule.pin is not None
        if rule.pin not in hidden and plan.can_be_pinned(rule.pin, now)
    }


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
    best = _best(snapshot, model, batch, plan.pool(n), may_be_shown, len(met), plan)
    best = best.at(plan.order(model, best.scores, best.items, n))
    cold = _for_cold_slots(snapshot, model, batch, n, best, may_be_shown, len(met), plan)
    if cold is not None:
        best = best.without_last(~snapshot.is_cold, len(cold.items)).then(cold)
    n_ranked = len(best.items) - (len(cold.items) if cold else 0)
    about = model, snapshot.catalogue, batch, best.parts, best.items
    reasons = Explainer(*about).reasons()
    explanations = explained(*about) if plan.wish.explain else None
    source: Source = "cold_start" if is_stranger else "model"
    lines = zip(best.items.tolist(), best.scores.tolist(), reasons, strict=True)
    for place, (index, score, reason) in enumerate(lines):
        item_id = model.recommender.item_ids[index]
        explanation = explanations[place] if explanations else None
        line = _Line(item_id, score, source, plan.reason(item_id, reason), explanation)
        yield line if place < n_ranked else line._replace(source="cold_slot", reason=f"{line.reason} {_RESERVED}")


def _for_cold_slots(
    snapshot: Snapshot,
    model: ServedModel,
    batch: HistoryBatch,
    n: int,
    best: "_Best",
    may_be_shown: NDArray[np.bool_],
    n_met: int,
    plan: Plan,
) -> "_Best | None":
    """The best cold items that the list of n lines does not have, as many as the scenario wants and it lacks."""
    wanted = min(plan.wish.scenario.cold_slots, n - 1)
    if wanted <= 0 or plan.turn:
        return None
    n_missing = wanted - int(snapshot.is_cold[best.items].sum())
    if n_missing <= 0:
        return None
    others = may_be_shown & snapshot.is_cold
    others[best.items] = False
    return _best(snapshot, model, batch, n_missing, others, n_met, plan)


class _Best(NamedTuple):
    items: NDArray[np.int64]  # (N,) best first
    scores: NDArray[np.float32]  # (N,)
    parts: Mapping[str, NDArray[np.float32]]  # (N,) what each head adds

    def at(self, places: NDArray[np.int64]) -> "_Best":
        """Some of them, in another order."""
        return _Best(self.items[places], self.scores[places], {head: part[places] for head, part in self.parts.items()})

    def without_last(self, mask: NDArray[np.bool_], n: int) -> "_Best":
        """Without the last n of those items that are in the mask (V,)."""
        dropped = np.flatnonzero(mask[self.items])[::-1][:n]
        return self.at(np.delete(np.arange(len(self.items)), dropped))

    def then(self, others: "_Best") -> "_Best":
        """These and the others behind them."""
        parts = {head: np.concatenate([part, others.parts[head]]) for head, part in self.parts.items()}
        return _Best(np.concatenate([self.items, others.items]), np.concatenate([self.scores, others.scores]), parts)


def _best(
    snapshot: Snapshot,
    model: ServedModel,
    batch: HistoryBatch,
    n: int,
    may_be_shown: NDArray[np.bool_],
    n_met: int,
    plan: Plan,
) -> _Best:
    boost = plan.rules.boost if plan.rules else None
    if shortlists := _shortlists(snapshot, batch, n, may_be_shown, n_met, plan):
        best = reduce(_Best.then, (_Best(few.items, few.scores(), few.parts) for few in shortlists))
        if len(shortlists) > 1:
            best = best.at(np.argsort(best.items))  # so that ties are decided as ever
    else:
        quick = snapshot.quick
        own = quick.parts_at(batch) if quick else model.recommender.parts_at(batch, snapshot.popularity)
        parts = plan.parts(model, own)
        scores = np.stack(list(parts.values())).sum(axis=0, dtype=np.float32)
        scores[~may_be_shown] = -np.inf
        best = _Best(np.arange(len(scores)), scores, parts)
    if boost is not None:
        added = boost[best.items]
        best = _Best(best.items, best.scores + added, {**best.parts, "rules": added})
    return best.at(top_n(best.scores, n))


def _shortlists(
    snapshot: Snapshot, batch: HistoryBatch, n: int, may_be_shown: NDArray[np.bool_], n_met: int, plan: Plan
) -> list[Shortlist]:
    """What can lead the list, items of different boosts apart; none where everything has to be scored.

    What leads because of its boost need not lead otherwise, so the best of each boost are found among themselves.
    """
    if snapshot.quick is None or plan.has_query:
        return []
    groups = [(may_be_shown, n)]
    if plan.rules and plan.rules.by_boost:
        masks = [may_be_shown & mask for mask in plan.rules.by_boost]
        groups = [(mask, min(n, int(mask.sum()))) for mask in masks]
    found = [snapshot.quick.shortlist(batch, n_best, mask, n_met) for mask, n_best in groups if n_best]
    return [] if None in found else [few for few in found if few is not None]


def _popular(items: Iterable[PopularItem], hidden: frozenset[str]) -> Iterator[_Line]:
    for item in items:
        if item.item_id not in hidden:
            yield _Line(item.item_id, item.score, "popular", item.reason)


def _shown(snapshot: Snapshot, line: _Line, rank: int) -> RecommendedItem:
    item = snapshot.catalogue.get(line.item_id)
    return RecommendedItem(
        item_id=line.item_id,
        rank=rank,
        score=None if line.score is None else round(line.score, 6),
        source=line.source,
        reason=line.reason,
        propensity=PROPENSITY,
        title=item.title,
        categories=list(item.categories),
        explanation=line.explanation,
    )
