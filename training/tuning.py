"""Every choice that is made on validation, and nothing else: heads, and how they read a history.

Choices are made one after the other from a good start, each judged by NDCG@10 on the same random validation events.
"""

import logging
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from training.baselines import NeighbourModel
from training.blend import (
    REGIMES,
    Blend,
    Candidates,
    collect_candidates,
    fit_blend,
    own_weights,
    regime_of,
)
from training.evaluate import moments, quality
from training.history import Recency
from training.item_item import ItemItemConfig, dense_items, fit_item_item
from training.llm_recommender import HEADS, LLMRecommender
from training.neighbours import Neighbours
from training.snapshot import Snapshot, Targets, first_meetings, to_predict
from training.time_budget import ENDLESS, best_of, is_over
from training.trend import WINDOWS

logger = logging.getLogger(__name__)

Scores = NDArray[np.float32]
_BLEND_ROUNDS = 3
_START_DECAYS = (0.9, 0.94, 0.97, 0.98, 0.99, 1.0)
_MIN_EVENTS = 200
"""Of a kind of moment, for which something is chosen apart."""
_STEPS_OF_RIDGE = 2
_MIN_BEGINNINGS = 50
NO_HISTORY = {"trend_7d": 0.5, "trend_30d": 1.0, "trend_all": 0.3}
"""Weights for a user of whom nothing is known, where too few have begun to learn them."""
_WINDOWS = [HEADS.index(trend) for trend in WINDOWS]
_MIN_REPEAT_TARGETS = 100
_OWN_HISTORY_WEIGHTS = (0.0, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
_REPEATS_MATTER = 0.02
"""Share of the targets that were met before, from which the own history gets a weight."""


def choose_item_item(
    snapshot: Snapshot,
    vectors: Scores,
    start: ItemItemConfig,
    recency: Recency,
    limits: tuple[int, int],
    seed: int,
    until: float = ENDLESS,
) -> ItemItemConfig:
    """Rows, ridge, text weight, normalisation: on the most met items only, as a fit costs the cube of their number."""
    max_items, max_events = limits
    kept = dense_items(snapshot.training, snapshot.n_items, max_items)
    small = snapshot.restricted(kept)
    targets = small.targets().sample(max_events, seed)
    judged: dict[ItemItemConfig, float] = {}

    def judge(config: ItemItemConfig) -> float:
        if config not in judged:
            fitted = fit_item_item(small.training, vectors[kept], config)
            judged[config] = quality(NeighbourModel(fitted, recency), small, targets, seed)
            logger.info("tried an item-item head", extra={**asdict(config), "ndcg_at_10": round(judged[config], 5)})
        return judged[config]

    best, _ = best_of([start, replace(start, extra_rows="sessions"), replace(start, extra_rows="none")], judge, until)
    for ratio in (1 / 3, 3.0):  # ridge and text weight belong together: both are counted in users
        for _ in range(_STEPS_OF_RIDGE):
            stronger = replace(best, ridge=best.ridge * ratio, text_weight=best.text_weight * ratio)
            if is_over(until) or judge(stronger) <= judge(best):
                break
            best = stronger
    more_text = [replace(best, text_weight=best.text_weight * ratio) for ratio in (1 / 3, 3.0)]
    best, _ = best_of([best, *more_text], judge, until)
    best, _ = best_of([best, *(replace(best, normalisation=share) for share in (0.2, 0.4, 0.6))], judge, until)
    if best.extra_rows == "windows":
        best, _ = best_of([best, *(replace(best, window=window) for window in (10, 50))], judge, until)
    return best


def choose_recency(
    neighbours: Neighbours, snapshot: Snapshot, targets: Targets, seed: int, until: float = ENDLESS
) -> Recency:
    """Decays of session and long term, and the session's share."""

    def judge(recency: Recency) -> float:
        return quality(NeighbourModel(neighbours, recency), snapshot, targets, seed)

    best, _ = best_of([Recency(0.5, decay, decay) for decay in (0.8, 0.9, 0.6, 0.7, 0.97, 0.4)], judge, until)
    best, _ = best_of([best, *(replace(best, a=a) for a in (0.65, 0.8, 0.92))], judge, until)
    best, _ = best_of([best, *(replace(best, session_decay=decay) for decay in (0.7, 0.9, 0.98, 1.0))], judge, until)
    best, _ = best_of([best, *(replace(best, long_term_decay=decay) for decay in (0.5, 0.7, 0.9, 0.96))], judge, until)
    return best


def choose_reading(
    neighbours: Neighbours, snapshot: Snapshot, targets: Targets, seed: int, until: float = ENDLESS
) -> Recency:
    """How the item-item head reads a history, with a decay of its own at the start of a session."""
    best = choose_recency(neighbours, snapshot, targets, seed, until)
    starts = starts_of_sessions(snapshot, len(targets), seed)
    if len(starts) >= _MIN_EVENTS:
        decays = [best, *(replace(best, start_decay=decay) for decay in _START_DECAYS)]
        best, _ = best_of(decays, lambda each: quality(NeighbourModel(neighbours, each), snapshot, starts, seed), until)
    return best


def choose_blend(
    recommender: LLMRecommender, snapshot: Snapshot, targets: Targets, seed: int, until: float = ENDLESS
) -> Blend:
    """Weights of all heads by regime; each round looks at the leaders of the last one's weights too.

    Where lists may repeat what was met, new items are not favoured: people come back there for what they know, and no
    new item is found the more often.
    """
    regime = regime_of(snapshot.histories(targets))
    without_history = choose_without_history(recommender, snapshot, len(targets), seed, until)
    first_half = in_first_half(targets, seed)
    is_unmet = None if snapshot.with_repeats else recommender.popularity[targets.item, -1] == 0
    tables: list[Scores] = []
    for _ in range(_BLEND_ROUNDS):
        found = gather_candidates(recommender, snapshot, targets, regime, tables, seed)
        blend = fit_blend(found, without_history, first_half, is_unmet, seed)
        tables.append(blend.weights)
        if is_over(until):
            break
    return blend


def in_first_half(targets: Targets, seed: int) -> NDArray[np.bool_]:
    """(M,) the first half of the period; of lists that are all asked for at one moment, those of half of the users."""
    if len(targets) and targets.now[0] != targets.now[-1]:
        return np.arange(len(targets)) < len(targets) // 2
    users = np.unique(targets.user)
    return np.isin(targets.user, np.random.default_rng(seed).permutation(users)[: len(users) // 2])


def choose_without_history(
    recommender: LLMRecommender, snapshot: Snapshot, size: int, seed: int, until: float = ENDLESS
) -> Scores:
    """(H,) weights for a user of whom nothing is known: trends are all that speaks then.

    Few users are new in a period of validation, but everybody was once. Trends learn nothing, so what they said to
    those who came long before, as of then, is as good a test: the newest ``size`` of all beginnings are taken.
    """
    usual = np.array([NO_HISTORY.get(head, 0.0) for head in HEADS], dtype=np.float32)
    targets = beginnings(snapshot, size)
    if len(targets) < _MIN_BEGINNINGS:
        return usual
    nobody = np.zeros(len(targets), dtype=np.int64)
    weights, tables = usual, [np.tile(usual[_WINDOWS], (len(REGIMES), 1))]
    for _ in range(_BLEND_ROUNDS):
        found = gather_candidates(recommender, snapshot, targets, nobody, tables, seed, WINDOWS)
        own = own_weights(found, usual[_WINDOWS], seed)
        tables.append(np.tile(own, (len(REGIMES), 1)))
        weights = np.zeros_like(usual)
        weights[_WINDOWS] = own
        if is_over(until):
            break
    return weights


def beginnings(snapshot: Snapshot, size: int) -> Targets:
    """The newest ``size`` events with which users began, of all that may be learned from or predicted."""
    events = snapshot.events
    is_first = events.first_of_user == np.arange(len(events))
    rows = np.flatnonzero(is_first & (snapshot.is_training | snapshot.is_target))
    rows = rows[np.argsort(events.occurred_at[rows], kind="stable")][-size:]
    return Targets(rows, events.user[rows], events.item[rows], events.occurred_at[rows])


def choose_own_history(
    recommender: LLMRecommender, snapshot: Snapshot, size: int, seed: int, until: float = ENDLESS
) -> Scores:
    """The table of weights with that of the user's own history, which counts where lists may repeat what was met.

    Found on all that the users met in the period, again or for the first time, apart at the start of a session and
    inside it. Where few things are met again it stays 0.
    """
    weights = recommender.weights.copy()
    again = with_repeats(snapshot)
    if again is None:
        return weights
    targets = starts_and_insides(again, size, seed)
    regime = regime_of(again.histories(targets))
    for number in range(1, len(REGIMES)):
        asked = targets.where(regime == number)
        if len(asked) < _MIN_REPEAT_TARGETS:
            continue

        def judge(weight: float, number: int = number, asked: Targets = asked) -> float:
            tried = weights.copy()
            tried[number, HEADS.index("own_history")] = weight
            return quality(recommender.with_weights(tried), again, asked, seed)

        best, _ = best_of(_OWN_HISTORY_WEIGHTS, judge, until)
        weights[number, HEADS.index("own_history")] = best
    return weights


def with_repeats(snapshot: Snapshot) -> Snapshot | None:
    """The same world where what was met may be asked for again; None where that is rare, or asked for already."""
    if snapshot.with_repeats or not snapshot.is_target.any():
        return None
    events, last = snapshot.events, snapshot.events.occurred_at[snapshot.is_target].max()
    is_target = to_predict(events, snapshot.n_items, snapshot.cut, int(last), with_repeats=True)
    is_again = is_target & ~first_meetings(events, snapshot.n_items)
    if is_again.sum() < _REPEATS_MATTER * max(is_target.sum(), 1):
        return None
    return replace(snapshot, with_repeats=True, is_target=is_target)


def starts_and_insides(snapshot: Snapshot, size: int, seed: int) -> Targets:
    """At most ``size`` targets, up to half of them from the start of a session, however rare those are.

    Where sessions are long nearly every event lies inside one, but a visit begins with a start: both must be learned.
    """
    targets = snapshot.targets()
    targets = _some_of_each_list(targets, size, seed) if snapshot.one_list else targets.thinned(8 * size, seed)
    inside = snapshot.histories(targets).is_inside_session
    dice = np.random.default_rng(seed)
    starts, insides = (dice.permutation(np.flatnonzero(rows)) for rows in (~inside, inside))
    n_starts = min(len(starts), max(size // 2, size - len(insides)))
    chosen = np.zeros(len(targets), dtype=bool)
    chosen[starts[:n_starts]] = True
    chosen[insides[: size - n_starts]] = True
    return targets.where(chosen)


def _some_of_each_list(targets: Targets, size: int, seed: int) -> Targets:
    """About ``size`` targets, as many of each list as there are: a list counts once, however much it should hold."""
    order = np.random.default_rng(seed).permutation(len(targets))
    order = order[np.argsort(targets.list_of[order], kind="stable")]
    place = np.arange(len(order)) - targets.list_starts[targets.list_of[order]]
    return targets.where(np.sort(order[place < -(-size // len(targets.list_starts))]))


def starts_of_sessions(snapshot: Snapshot, size: int, seed: int) -> Targets:
    """At most ``size`` targets that begin a session of somebody with a history."""
    targets = snapshot.targets()
    batch = snapshot.histories(targets)
    return targets.where(~batch.is_inside_session & (batch.lengths > 0)).thinned(size, seed)


def gather_candidates(
    recommender: LLMRecommender,
    snapshot: Snapshot,
    targets: Targets,
    regime: NDArray[np.int64],
    tables: list[Scores],
    seed: int,
    heads: tuple[str, ...] = HEADS,
) -> Candidates:
    """For each validation event the leaders of every head and of every table of weights, and some others."""

    def chunks() -> Iterator[tuple[dict[str, Scores], list[NDArray[np.int32]], NDArray[np.int32]]]:
        for chunk in moments(snapshot, targets, width=len(HEADS)):
            scores = dict(recommender.head_scores(chunk.batch, chunk.tables, chunk.table_of, heads))
            yield scores, chunk.seen, chunk.targets

    return collect_candidates(chunks(), regime, seed, tables)
