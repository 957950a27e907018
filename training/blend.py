"""The gate: how much each head counts at which moment, chosen on validation.

Heads speak in different units, so each is brought to z-scores over the catalogue and its heavy tail to logarithms.
Few heads are then added greedily while NDCG@10 on validation rises. A regime (start of a session or inside it) gets
weights of its own only if weights found in one half of the period help in the other half: what people want changes with
the weeks, and gates with more freedom were worse than one good head.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.history import HistoryBatch
from training.metrics import ndcg, top_items
from training.newness import NEW_HEADS, TEXT_NEW

REGIMES = ("no_history", "start", "inside")
"""The kinds of moment: a user of whom nothing is known, the start of a session, and inside one."""

_STEPS = (-0.3, -0.1, -0.05, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0)
_MIN_GAIN = 0.003
"""Relative gain on validation below which a further change is taken for noise."""
_MAX_COST_OF_NEW = 0.02
"""Relative loss on validation that new items may cost at most, however many of them are wanted."""
_UNSEEN_DEMAND = 4
"""How many times the share of unmet items among the targets new items may cost. What validation shows of the demand for
them is the least of it: nobody was shown them, and many are not in the catalogue yet. On Online Retail three times as
many of the test's targets are such items, and what seems to be a cost on validation is a gain there."""
_MIN_REGIME_EVENTS = 100
_MAX_ROUNDS = 12
_SAMPLES, _SAMPLE_EVENTS = 10, 1_000
"""On how many samples of a regime's events its weights are found, and how large they are at most."""
_DRAWN = 200
"""Items drawn at random per event."""
K = 10


def regime_of(batch: HistoryBatch) -> NDArray[np.int64]:
    """(B,) the number of each moment's regime in REGIMES."""
    return np.where(batch.lengths == 0, 0, 1 + batch.is_inside_session.astype(np.int64))


def normalise(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """(…, V) -> sign · log1p |z| over the catalogue; a row that says nothing stays 0."""
    centred = scores - scores.mean(axis=-1, keepdims=True, dtype=np.float32)
    spread = np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True, dtype=np.float32))
    return compressed(centred, spread)


def compressed(centred: NDArray[np.float32], spread: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    """Distances from the mean -> sign · log1p |z|; 0 where nothing is spread."""
    z = centred / np.where(spread > 1e-8, spread, np.float32(np.inf))
    return np.asarray(np.copysign(np.log1p(np.abs(z)), z), dtype=np.float32)


@dataclass(frozen=True)
class Candidates:
    """What the search over weights looks at: per event some of the catalogue, and the target.

    The items that any head puts forward are not enough: the target is there even if none does, so weights that favour
    what nobody puts forward would look good. Items drawn at random speak against them, and so do the leaders of the
    weights found so far. Events come last in every array: to count over the first axis is twice as fast.
    """

    heads: tuple[str, ...]
    values: NDArray[np.float32]  # (H, C, M) normalised scores; −inf is never one of them
    target_values: NDArray[np.float32]  # (H, M)
    is_rival: NDArray[np.bool_]  # (C, M) a candidate, not the target, not seen, not listed twice
    regime: NDArray[np.int64]  # (M,)

    def __len__(self) -> int:
        return len(self.regime)

    def where(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Candidates":
        """Some of the events, by a mark for each or by their numbers."""
        return Candidates(
            self.heads,
            self.values[..., rows],
            self.target_values[:, rows],
            self.is_rival[:, rows],
            self.regime[rows],
        )

    def mixed(self, weights: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Blended scores of the candidates (C, M), −inf of what is no rival, and of the targets (M,)."""
        used = np.flatnonzero(weights)
        scores = np.where(self.is_rival, np.float32(0), np.float32(-np.inf))
        for head in used:
            scores += weights[head] * self.values[head]
        return scores, weights[used] @ self.target_values[used]

    def quality_of(self, table: NDArray[np.float32]) -> float:
        """Mean NDCG@10 of weights by regime (len(REGIMES), H)."""
        total = 0.0
        for number, weights in enumerate(table):
            some = self.where(self.regime == number)
            total += float(some.quality(*some.mixed(weights)).sum())
        return total / len(self)

    def quality(self, scores: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
        """(M,) NDCG@10 of what ``mixed`` returns; a candidate of equal score counts half."""
        better = (scores > target).sum(axis=0, dtype=np.uint16)
        better_or_equal = (scores >= target).sum(axis=0, dtype=np.uint16)
        return ndcg((better + better_or_equal) // 2, K)


def collect_candidates(
    chunks: Iterable[tuple[Mapping[str, NDArray[np.float32]], Sequence[NDArray[np.int32]], NDArray[np.int32]]],
    regime: NDArray[np.int64],
    seed: int,
    tables: Sequence[NDArray[np.float32]] = (),
    per_head: int = 50,
) -> Candidates:
    """From chunks of (normalised scores by head (B, V), seen items per row, target items) to the candidates.

    ``tables`` are weights (len(REGIMES), H) whose leaders are to be among them.
    """
    dice = np.random.default_rng(seed)
    values, target_values, rivals = [], [], []
    done = 0
    heads: tuple[str, ...] = ()
    for scores, seen, targets in chunks:
        heads = tuple(scores)
        rows = np.arange(len(targets))[:, None]
        hidden = np.zeros((len(targets), next(iter(scores.values())).shape[1]), dtype=bool)
        for row, items in enumerate(seen):
            hidden[row, items] = True
        mixed = [_mixed(scores, table[regime[done : done + len(targets)]]) for table in tables]
        done += len(targets)
        drawn = dice.integers(0, hidden.shape[1], (len(targets), _DRAWN))
        items = np.concatenate(
            [*(_leaders(each, hidden, per_head) for each in (*scores.values(), *mixed)), drawn], axis=1
        )
        items.sort(axis=1)
        repeated = np.concatenate([np.zeros_like(rows, dtype=bool), items[:, 1:] == items[:, :-1]], axis=1)
        rivals.append((~repeated & ~hidden[rows, items] & (items != targets[:, None])).T)
        values.append(np.stack([each[rows, items].T for each in scores.values()]))
        target_values.append(np.stack([each[rows[:, 0], targets] for each in scores.values()]))
    return Candidates(
        heads,
        np.concatenate(values, axis=-1),
        np.concatenate(target_values, axis=1),
        np.concatenate(rivals, axis=1),
        regime,
    )


@dataclass(frozen=True)
class Blend:
    """Weights by regime."""

    heads: tuple[str, ...]
    weights: NDArray[np.float32]  # (len(REGIMES), H)
    report: dict[str, float]
    """NDCG@10 on validation: of fixed weights, of the table before and after new items were favoured, and what each
    regime's own weights gain in the half of the period that they were not found in."""

    def table(self) -> dict[str, dict[str, float]]:
        """Weights by regime and head, for logs and people; heads of no weight are left out."""
        return {
            regime: {head: round(float(w), 4) for head, w in zip(self.heads, row, strict=True) if w}
            for regime, row in zip(REGIMES, self.weights, strict=True)
        }


def _mixed(scores: Mapping[str, NDArray[np.float32]], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, V) of heads' scores (B, V) and each row's weights (B, H)."""
    total = np.zeros(next(iter(scores.values())).shape, dtype=np.float32)
    for head, own in zip(scores.values(), weights.T, strict=True):
        if own.any():
            total += own[:, None] * head
    return total


def fit_blend(
    candidates: Candidates,
    without_history: NDArray[np.float32],
    is_in_first_half: NDArray[np.bool_],
    is_unmet: NDArray[np.bool_] | None,
    seed: int,
) -> Blend:
    """Fixed weights for all moments, then a regime's own ones where they prove themselves.

    ``without_history`` (H,) are the weights for a user of whom nothing is known (``tuning.choose_without_history``).
    What is found in one half of the events (M,) is tried on the other. ``is_unmet`` (M,) says which targets nobody had
    met at training; without it new items are not favoured.
    """
    fixed = search_weights(candidates)
    weights = np.tile(fixed, (len(REGIMES), 1))
    weights[0] = without_history
    report = {"fixed": _mean_quality(candidates, fixed)}
    for number, name in list(enumerate(REGIMES))[1:]:
        inside = candidates.regime == number
        if inside.sum() < _MIN_REGIME_EVENTS:
            continue
        first = candidates.where(inside & is_in_first_half)
        second = candidates.where(inside & ~is_in_first_half)
        gain = _gain_elsewhere(first, second, fixed, seed) + _gain_elsewhere(second, first, fixed, seed)
        report[f"gain_elsewhere/{name}"] = float(gain / inside.sum())
        if gain > 0:
            weights[number] = own_weights(candidates.where(inside), fixed, seed)
    report["by_regime"] = candidates.quality_of(weights)
    if is_unmet is not None:
        weights = _favouring_new(candidates, weights, is_unmet)
        report["favouring_new"] = candidates.quality_of(weights)
    return Blend(candidates.heads, weights, report)


def _favouring_new(
    candidates: Candidates, weights: NDArray[np.float32], is_unmet: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Of the tables that are about as good on validation, the one that lifts new items most.

    They are few of the targets, so the search finds no gain in them; but who could learn of them if nobody saw them?
    What it may cost is in proportion to what people want of items that nobody had met at training.
    """
    lifted = weights.copy()
    for number in range(1, len(REGIMES)):
        inside = candidates.regime == number
        if inside.sum() < _MIN_REGIME_EVENTS:
            continue
        some = candidates.where(inside)
        wanted = float(np.clip(_UNSEEN_DEMAND * is_unmet[inside].mean(), _MIN_GAIN, _MAX_COST_OF_NEW))
        least = _mean_quality(some, weights[number]) * (1 - wanted)
        for head in [head for head in NEW_HEADS if head in candidates.heads]:
            for step in sorted((step for step in _STEPS if step > 0), reverse=True):
                tried = lifted[number].copy()
                tried[candidates.heads.index(head)] += np.float32(step)
                if _mean_quality(some, tried) >= least:
                    lifted[number] = tried
                    break
    return lifted


def search_weights(candidates: Candidates, start: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Greedy: change one head's weight by the step that helps most, until none helps enough.

    ``TEXT_NEW`` is left at 0: it is there to lift new items, and where it takes another's part it leads astray. Online
    Retail, one list per user: .117 without and .106 with it on test, before it was left out.
    """
    searched = [place for place, head in enumerate(candidates.heads) if head != TEXT_NEW]
    weights = np.zeros(len(candidates.heads), dtype=np.float32) if start is None else start.copy()
    best = _mean_quality(candidates, weights) if start is not None else -1.0
    for _ in range(_MAX_ROUNDS):
        scores, target = candidates.mixed(weights)
        trials = []
        for head in searched:
            for step in (1.0,) if not weights.any() else _STEPS:
                change = np.float32(step)
                trial = candidates.quality(
                    scores + change * candidates.values[head], target + change * candidates.target_values[head]
                )
                trials.append((float(trial.mean()), head, change))
        quality, head, change = max(trials, key=lambda trial: trial[0])
        if quality <= best * (1 + _MIN_GAIN) + 1e-9:
            break
        best = quality
        weights[head] = np.round(weights[head] + change, 4)
    return weights


def own_weights(candidates: Candidates, fixed: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """A regime's weights: the mean of those found on samples of its events (bagging, Breiman 1996).

    Among few events a greedy search follows chance: on Online Retail 685 begin a session, and what was found on them
    moved with the last digits of the scores.
    """
    dice = np.random.default_rng(seed)
    size = min(len(candidates), _SAMPLE_EVENTS)
    samples = (candidates.where(dice.integers(0, len(candidates), size)) for _ in range(_SAMPLES))
    found = np.mean([search_weights(sample, start=fixed) for sample in samples], axis=0, dtype=np.float32)
    return np.asarray(found.round(4), dtype=np.float32)


def _gain_elsewhere(learn: Candidates, judge: Candidates, fixed: NDArray[np.float32], seed: int) -> float:
    """What weights found in one half of the period bring to the other, summed over its events."""
    if len(learn) == 0 or len(judge) == 0:
        return 0.0
    own = own_weights(learn, fixed, seed)
    return float((judge.quality(*judge.mixed(own)) - judge.quality(*judge.mixed(fixed))).sum())


def _mean_quality(candidates: Candidates, weights: NDArray[np.float32]) -> float:
    return float(candidates.quality(*candidates.mixed(weights)).mean())


def _leaders(scores: NDArray[np.float32], hidden: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """(B, count) the unseen items that a head puts first."""
    visible = np.where(hidden, np.float32(-np.inf), scores)
    return top_items(visible, count)
