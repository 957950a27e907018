"""Ranks to figures: pure functions, one value per predicted event."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ranks(
    scores: NDArray[np.float32], targets: NDArray[np.int64] | NDArray[np.int32], luck: Floats
) -> NDArray[np.int64]:
    """(B,) how many items stand before each row's target in (B, V); excluded items are −inf.

    ``luck`` in [0, 1), drawn by seed, one per row, decides where the target stands among items of equal score.
    """
    own = scores[np.arange(len(scores)), targets][:, None]
    better = (scores > own).sum(axis=1)
    equal = (scores == own).sum(axis=1)  # with the target itself
    return np.asarray(better + np.floor(luck * equal), dtype=np.int64)


def ndcg(rank: NDArray[np.int64], k: int) -> Floats:
    """Normalised discounted cumulative gain with one relevant item: 1 / log2(position + 1) inside the first k."""
    return np.where(rank < k, 1 / np.log2(rank + 2.0), 0.0)


def recall(rank: NDArray[np.int64], k: int) -> Floats:
    """1 where the one relevant item stands inside the first k (also its hit rate)."""
    return (rank < k).astype(np.float64)


def mrr(rank: NDArray[np.int64], k: int) -> Floats:
    """1 / position inside the first k."""
    return np.where(rank < k, 1 / (rank + 1.0), 0.0)


def coverage(shown: NDArray[np.int64] | NDArray[np.int32], n_items: int) -> float:
    """Share of the catalogue that stands in at least one of the lists (rows of ``shown``)."""
    return len(np.unique(shown)) / n_items


def top_items(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """(B, k) the best items of each row, best first."""
    import torch  # three to ten times faster here than numpy's partition; evaluation only, never serving

    best = torch.from_numpy(scores).topk(min(k, scores.shape[1]), dim=1).indices
    return np.asarray(best.numpy(), dtype=np.int64)


def bootstrap_means(values: Floats, user: NDArray[np.int64] | NDArray[np.int32], n_resamples: int, seed: int) -> Floats:
    """(n_resamples, C) means of columns of ``values`` (M, C) when users are drawn anew with all their events.

    The columns share each draw, so differences between columns are paired.
    """
    _, cluster = np.unique(user, return_inverse=True)
    n_users = int(cluster.max()) + 1
    sums = np.stack([np.bincount(cluster, column, minlength=n_users) for column in values.T], axis=1)  # (U, C)
    counts = np.bincount(cluster, minlength=n_users).astype(np.float64)
    generator = np.random.default_rng(seed)
    means = np.empty((n_resamples, values.shape[1]))
    for start in range(0, n_resamples, 256):
        size = min(256, n_resamples - start)
        draws = generator.multinomial(n_users, np.full(n_users, 1 / n_users), size=size).astype(np.float64)
        means[start : start + size] = (draws @ sums) / (draws @ counts)[:, None]
    return means


def interval(samples: Floats, level: float = 0.95) -> tuple[float, float]:
    """The central interval of bootstrap samples."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
