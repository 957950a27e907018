"""How well ratings are foretold: what a user will give an item, beside the plain answers to that question.

    mean       the mean of all training ratings
    biases     mean + item's bias + user's bias, each shrunk towards 0 (Koren 2008)
    ridge      biases + each user's own ridge regression of what is left on vectors of items: their texts, and the
               leading directions of what is left in training, so that likeness by words and by people both count

Item biases and vectors are frozen with training; a user's bias and regression are computed from the ratings that were
known at the moment, so a new user is served after the first rating. Only lists of one target are judged: a rating has
a moment.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from training import metrics
from training.comparison import RESAMPLES
from training.dataset import Marts
from training.snapshot import Snapshot, Targets

Floats = NDArray[np.float64]
_CHUNK = 256
_DIRECTIONS = 16
_FEW_RATINGS = 10.0
"""Ratings at which half of the square of a direction's length is believed."""
_FEWEST = 100
"""Ratings below which nothing is judged."""


@dataclass(frozen=True)
class RatingSettings:
    """What validation chooses."""

    item_shrinkage: float = 10.0
    """Ratings added to an item's, all of them average."""
    user_shrinkage: float = 10.0
    ridge: float | None = None
    """λ of the users' regressions; None leaves them out."""
    text_share: float = 0.5
    """Of the length of an item's vector."""


_BIASES = tuple(RatingSettings(item, user) for item in (3.0, 10.0, 25.0) for user in (3.0, 10.0))
_RIDGES, _SHARES = (1.0, 3.0, 10.0), (0.2, 0.5, 0.8)


@dataclass(frozen=True)
class RatingRow:
    """One line of the table, with 95 % intervals over users."""

    model: str
    n_ratings: int
    rmse: float
    rmse_low: float
    rmse_high: float
    mae: float
    mae_low: float
    mae_high: float


@dataclass(frozen=True)
class Ratings:
    """Ratings of a snapshot."""

    snapshot: Snapshot
    values: NDArray[np.float32]  # (N,) of its events, NaN where an event is no rating

    @classmethod
    def of(cls, marts: Marts, snapshot: Snapshot) -> "Ratings":
        """From the marts the snapshot was made of."""
        return cls(snapshot, marts.ratings(snapshot.item_ids))

    def targets(self, size: int, seed: int) -> Targets:
        """Rated targets, at most ``size``."""
        targets = self.snapshot.targets()
        return targets.where(np.isfinite(self.values[targets.rows])).sample(size, seed)

    @property
    def is_training(self) -> NDArray[np.bool_]:
        """(N,) ratings to learn from."""
        return self.snapshot.is_training & np.isfinite(self.values)


@dataclass(frozen=True)
class RatingModel:
    """Everything that a prediction needs beside the user's ratings so far."""

    mean: float
    item_bias: Floats  # (V,)
    user_shrinkage: float
    vectors: Floats  # (V, E) empty where there is no regression
    ridge: float

    def predict(self, ratings: Ratings, targets: Targets) -> Floats:
        """(M,) expected ratings, within the range that training has seen."""
        seen = ratings.values[ratings.is_training]
        parts = [self._chunk(ratings, targets.where(slice(at, at + _CHUNK))) for at in range(0, len(targets), _CHUNK)]
        return np.clip(np.concatenate(parts), seen.min(), seen.max())

    def _chunk(self, ratings: Ratings, targets: Targets) -> Floats:
        rows = ratings.snapshot.history_rows(targets)
        rows = rows[:, (rows >= 0).any(axis=0)]
        values = np.where(rows >= 0, ratings.values[rows], np.nan)
        is_rated = np.isfinite(values)
        items = ratings.snapshot.events.item[np.maximum(rows, 0)]
        left = np.where(is_rated, values - self.mean - self.item_bias[items], 0.0)  # (M, T)
        user_bias = left.sum(axis=1) / (is_rated.sum(axis=1) + self.user_shrinkage)
        answer: Floats = self.mean + self.item_bias[targets.item] + user_bias
        if self.vectors.size == 0:
            return answer
        left = np.where(is_rated, left - user_bias[:, None], 0.0)
        known = np.where(is_rated[:, :, None], self.vectors[items], 0.0)  # (M, T, E)
        kernel = known @ known.transpose(0, 2, 1) + self.ridge * np.eye(rows.shape[1])
        weights = np.linalg.solve(kernel, left[:, :, None])[:, :, 0]
        likeness = np.einsum("mte,me->mt", known, self.vectors[targets.item])
        return np.asarray(answer + (likeness * weights).sum(axis=1), dtype=np.float64)


def fit_ratings(ratings: Ratings, texts: NDArray[np.float32], settings: RatingSettings) -> RatingModel:
    """Mean and biases in closed form, one after the other; vectors where a regression is asked for."""
    events, used = ratings.snapshot.events, ratings.is_training
    user, item = events.user[used], events.item[used]
    n_users, n_items = len(ratings.snapshot.user_ids), ratings.snapshot.n_items
    mean = float(ratings.values[used].mean(dtype=np.float64))
    left = ratings.values[used].astype(np.float64) - mean
    counts = np.bincount(item, minlength=n_items)
    item_bias = np.bincount(item, left, minlength=n_items) / (counts + settings.item_shrinkage)
    nothing = np.empty((n_items, 0))
    if settings.ridge is None:
        return RatingModel(mean, item_bias, settings.user_shrinkage, nothing, 0.0)
    left -= item_bias[item]
    by_user = np.bincount(user, minlength=n_users) + settings.user_shrinkage
    left -= (np.bincount(user, left, minlength=n_users) / by_user)[user]
    directions = _directions(csr_matrix((left, (user, item)), shape=(n_users, n_items)), counts)
    share = settings.text_share
    vectors = np.hstack([np.sqrt(share) * texts, np.sqrt(1 - share) * directions])
    return RatingModel(mean, item_bias, settings.user_shrinkage, vectors, settings.ridge)


def judge_ratings(
    validation: Ratings,
    test: Ratings,
    texts: tuple[NDArray[np.float32], NDArray[np.float32]],
    size: tuple[int, int],
    seed: int,
) -> list[RatingRow]:
    """Choose on validation, fit anew, judge on test; nothing where there are too few ratings or one list for all.

    ``texts`` are the items' vectors in either snapshot, ``size`` how many ratings are taken at most of either.
    """
    if validation.snapshot.one_list:
        return []
    chosen_by, judged_by = validation.targets(size[0], seed), test.targets(size[1], seed)
    if min(len(chosen_by), len(judged_by), int(validation.is_training.sum())) < _FEWEST:
        return []
    actual = validation.values[chosen_by.rows]

    def error(settings: RatingSettings) -> float:
        predicted = fit_ratings(validation, texts[0], settings).predict(validation, chosen_by)
        return float(np.square(predicted - actual).mean())

    biases = min(_BIASES, key=error)
    ridge = min((replace(biases, ridge=each, text_share=share) for each in _RIDGES for share in _SHARES), key=error)
    constant = replace(biases, item_shrinkage=np.inf, user_shrinkage=np.inf)
    chosen = {"ridge": ridge, "biases": biases, "mean": constant}
    errors = {
        name: fit_ratings(test, texts[1], settings).predict(test, judged_by) - test.values[judged_by.rows]
        for name, settings in chosen.items()
    }
    return _rows(errors, judged_by.user, seed)


def _directions(left: csr_matrix, counts: NDArray[np.int64]) -> Floats:
    """(V, E) items along the leading directions of what is left, of length 1 or less where few ratings stand behind."""
    rank = min(_DIRECTIONS, min(left.shape) - 1)
    _, strength, directions = svds(left, k=rank, random_state=0)  # the sign and order of directions do not matter
    vectors = directions.T * strength
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    trust = np.sqrt(counts / (counts + _FEW_RATINGS))[:, None]
    return np.asarray(trust * vectors / np.where(lengths > 0, lengths, 1), dtype=np.float64)


def _rows(errors: dict[str, Floats], user: NDArray[np.int32], seed: int) -> list[RatingRow]:
    squares = np.stack([np.square(each) for each in errors.values()], axis=1)
    sizes = np.stack([np.abs(each) for each in errors.values()], axis=1)
    samples = metrics.bootstrap_means(np.hstack([squares, sizes]), user, RESAMPLES, seed)
    rows = []
    for column, name in enumerate(errors):
        low, high = metrics.interval(samples[:, column])
        mae_low, mae_high = metrics.interval(samples[:, len(errors) + column])
        rmse, mae = float(np.sqrt(squares[:, column].mean())), float(sizes[:, column].mean())
        rows.append(RatingRow(name, len(user), rmse, float(np.sqrt(low)), float(np.sqrt(high)), mae, mae_low, mae_high))
    return rows
