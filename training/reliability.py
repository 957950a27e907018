"""Is a score worth what it says? The share of interest that the lists promise beside how often they were right.

A score becomes a share by a softmax over what the user has not met; its one number, the sharpness, is fitted on half of
the users, and the other half is judged. The first ten places of all lists are sorted into ten parts by their share:
where the model is calibrated, the items of a part are met next as often as their mean share says.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.evaluate import COVERAGE_EVENTS, K, Scorer, moments
from training.snapshot import Snapshot, Targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

Floats = NDArray[np.float64]
SHARPNESS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""What scores may be multiplied with before the softmax."""
N_PARTS = 10
_RESAMPLES = 2_000


@dataclass(frozen=True)
class Part:
    """Places of a tenth of the shares, the smallest shares first."""

    predicted: float
    """Mean share."""
    observed: float
    """Of the places, those whose item was met next."""
    low: float
    """Of ``observed``: 95 %, by a bootstrap over users."""
    high: float
    n_places: int


@dataclass(frozen=True)
class Reliability:
    """The parts, and one figure for all."""

    sharpness: float
    parts: list[Part]

    @property
    def expected_error(self) -> float:
        """Mean distance of predicted and observed over all places (Naeini et al. 2015)."""
        n_places = np.array([part.n_places for part in self.parts])
        distance = [abs(part.predicted - part.observed) for part in self.parts]
        return float(np.average(distance, weights=n_places))


def reliability_of(model: Scorer, snapshot: Snapshot, targets: Targets, seed: int) -> Reliability | None:
    """On at most COVERAGE_EVENTS lists of one target each; None where fewer than two users ask for them."""
    targets = targets.sample(COVERAGE_EVENTS, seed)
    users = np.unique(targets.user)
    if len(users) < 2:
        return None
    learning = np.isin(targets.user, np.random.default_rng(seed).permutation(users)[: len(users) // 2])
    logs, own, places, hits = [], [], [], []
    for chunk in moments(snapshot, targets):
        scores = model.score_batch(chunk.batch, chunk.tables, chunk.table_of)
        for row, items in enumerate(chunk.seen):
            scores[row, items] = -np.inf
        rows = np.arange(len(scores))
        shown = metrics.top_items(scores, K)
        logs.append(_log_sums(scores))
        own.append(scores[rows, chunk.targets])
        places.append(scores[rows[:, None], shown])
        hits.append(shown == chunk.targets[:, None])
    log_sums, target = np.concatenate(logs), np.concatenate(own)  # (L, S), (L,)
    likelihood = target[:, None] * np.array(SHARPNESS)[None, :] - log_sums
    best = int(likelihood[learning].mean(axis=0).argmax())
    judged = ~learning
    shares = np.exp(np.concatenate(places)[judged] * SHARPNESS[best] - log_sums[judged, best][:, None])
    user = np.repeat(targets.user[judged], shares.shape[1])
    return Reliability(SHARPNESS[best], parts_of(shares.ravel(), np.concatenate(hits)[judged].ravel(), user, seed))


def parts_of(shares: Floats, hits: NDArray[np.bool_], user: NDArray[np.int32], seed: int) -> list[Part]:
    """N_PARTS parts of as many places each, fewer where there are not as many places. All arguments are (N,)."""
    parts = []
    for rows in np.array_split(np.argsort(shares, kind="stable"), N_PARTS):
        if len(rows) == 0:
            continue
        drawn = metrics.bootstrap_means(hits[rows, None].astype(np.float64), user[rows], _RESAMPLES, seed)
        low, high = metrics.interval(drawn[:, 0])
        parts.append(Part(float(shares[rows].mean()), float(hits[rows].mean()), low, high, len(rows)))
    return parts


def plot_reliability(found: Reliability) -> "Plot":
    """Predicted beside observed; on the line the model is right about itself."""
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(5.5, 4.5), layout="constrained")
    axes = plot.subplots()
    predicted, observed = [part.predicted for part in found.parts], [part.observed for part in found.parts]
    below = [max(part.observed - part.low, 0.0) for part in found.parts]
    above = [max(part.high - part.observed, 0.0) for part in found.parts]
    largest = max([*predicted, *(part.high for part in found.parts)]) * 1.05
    axes.plot([0, largest], [0, largest], color="tab:gray", linestyle=":", label="calibrated")
    axes.errorbar(
        predicted, observed, yerr=[below, above], marker="o", markersize=4, capsize=2, label="tenths of places"
    )
    axes.set(xlabel="predicted share", ylabel="observed hit rate, 95 % over users", xlim=(0, None), ylim=(0, None))
    axes.set_title(f"Calibration: expected error {found.expected_error:.4f}")
    axes.legend(fontsize=8)
    return plot


def _log_sums(scores: NDArray[np.float32]) -> Floats:
    """(B, S) log Σ exp(sharpness · score) over the items, for each sharpness."""
    largest = scores.max(axis=1, keepdims=True)
    return np.stack(
        [
            np.log(np.exp((scores - largest) * np.float32(sharpness)).sum(axis=1, dtype=np.float64))
            + largest[:, 0] * sharpness
            for sharpness in SHARPNESS
        ],
        axis=1,
    )
