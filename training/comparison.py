"""Is one model better than another on the same users? Paired bootstrap over users, from the per-user results of a run.

A run keeps ``evaluation/per_user.parquet`` with one row per (model, slice, user): ``model``, ``slice`` (``all``, or a
part of the test events; without the column every row means ``all``), ``user_id``, ``n_events`` (test events of that
user in that slice) and ``ndcg_at_10`` (its mean over them). Figures are means over events; what is drawn anew are users
with all their events, since one person's events are not independent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyarrow import Table

WHOLE = "all"
RESAMPLES = 2_000
_DRAWS_AT_ONCE = 250


@dataclass(frozen=True)
class PairedScores:
    """Two models' results on the same users."""

    ours: NDArray[np.float64]  # (U,) mean NDCG@10 per user
    theirs: NDArray[np.float64]  # (U,)
    n_events: NDArray[np.int64]  # (U,) what a user's mean counts


@dataclass(frozen=True)
class Lift:
    """How much better the first model is, relative to the second: .05 is five per cent, 0 no difference."""

    mean: float
    low: float
    high: float
    n_users: int
    n_events: int

    def __str__(self) -> str:
        return f"{self.mean:+.1%} [{self.low:+.1%}, {self.high:+.1%}] over {self.n_users} users, {self.n_events} events"


@dataclass(frozen=True)
class PerUser:
    """Per-user results by (model, slice)."""

    scores: dict[tuple[str, str], dict[str, tuple[int, float]]]

    @classmethod
    def from_table(cls, table: "Table") -> "PerUser":
        """Read ``evaluation/per_user.parquet``."""
        scores: dict[tuple[str, str], dict[str, tuple[int, float]]] = {}
        for row in table.to_pylist():
            users = scores.setdefault((row["model"], row.get("slice") or WHOLE), {})
            users[row["user_id"]] = (int(row["n_events"]), float(row["ndcg_at_10"]))
        return cls(scores)

    @property
    def models(self) -> list[str]:
        """Every model that was evaluated."""
        return sorted({model for model, _ in self.scores})

    def pair(self, ours: str, other: "PerUser", theirs: str, part: str = WHOLE) -> PairedScores | None:
        """Two models' results on the users that have both, or None where there are none."""
        first, second = self.scores.get((ours, part), {}), other.scores.get((theirs, part), {})
        users = sorted(first.keys() & second.keys())
        if not users:
            return None
        return PairedScores(
            ours=np.array([first[user][1] for user in users]),
            theirs=np.array([second[user][1] for user in users]),
            n_events=np.array([first[user][0] for user in users], dtype=np.int64),
        )


def lift(scores: PairedScores, *, seed: int = 0, resamples: int = RESAMPLES, level: float = 0.95) -> Lift:
    """Relative difference of the means over events, with the paired bootstrap's central interval."""
    weighted = np.stack([scores.ours * scores.n_events, scores.theirs * scores.n_events], axis=1)  # (U, 2)
    n_users = len(weighted)
    generator = np.random.default_rng(seed)
    samples: list[NDArray[np.float64]] = []
    for start in range(0, resamples, _DRAWS_AT_ONCE):
        size = min(_DRAWS_AT_ONCE, resamples - start)
        draws = generator.multinomial(n_users, np.full(n_users, 1 / n_users), size=size)  # (draws, U)
        samples.append(_relative(draws @ weighted))
    low, high = np.quantile(np.concatenate(samples), [(1 - level) / 2, (1 + level) / 2], method="closest_observation")
    mean = float(_relative(weighted.sum(axis=0, keepdims=True))[0])
    return Lift(mean, float(low), float(high), n_users, int(scores.n_events.sum()))


def p_value(differences: NDArray[np.float64]) -> float:
    """Two-sided, from bootstrap samples of a difference: twice the share on the rarer side of 0, never quite 0."""
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(differences) + 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted so that among all comparisons the chance of one false discovery stays below the level (Holm 1979)."""
    adjusted, largest = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=lambda each: p_values[each])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def _relative(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, 2) totals -> (S,) how much more the first is; against nothing, any hit is endlessly better."""
    ours, theirs = totals[:, 0], totals[:, 1]
    against_nothing = np.where(ours > 0, np.inf, 0.0)
    return np.where(theirs > 0, (ours - theirs) / np.where(theirs > 0, theirs, 1), against_nothing)


def is_trivial(model: str) -> bool:
    """Whether a baseline needs no learning: what every model must beat."""
    return model.startswith("popularity")


def trivial_baselines(models: Iterable[str]) -> list[str]:
    """Those among the evaluated models."""
    return sorted(model for model in models if is_trivial(model))
