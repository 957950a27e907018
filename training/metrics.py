"""Ranks to figures: pure functions, one value per predicted event or list."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ranks(
    scores: NDArray[np.float32], targets: NDArray[np.int64] | NDArray[np.int32], luck: Floats
) -> NDArray[np.int64]:
    """(B,) how many items stand before each row's target in (B, V); excluded items are −inf.

    ``luck`` in [0, 1), drawn by seed, one per list, turns the circle of items of equal score: each place is as likely,
    and two targets of one list never take the same.
    """
    own = scores[np.arange(len(scores)), targets][:, None]
    better = (scores > own).sum(axis=1)
    equals = scores == own
    equal = equals.sum(axis=1)  # with the target itself
    tied = np.flatnonzero(equal > 1)
    before = np.zeros(len(scores), dtype=np.int64)
    before[tied] = (equals[tied] & (np.arange(scores.shape[1]) < targets[tied][:, None])).sum(axis=1)
    return np.asarray(better + (before + np.floor(luck * equal).astype(np.int64)) % equal, dtype=np.int64)


def ndcg(rank: NDArray[np.int64], k: int) -> Floats:
    """Normalised discounted cumulative gain with one relevant item: 1 / log2(position + 1) inside the first k."""
    return np.where(rank < k, 1 / np.log2(rank + 2.0), 0.0)


def recall(rank: NDArray[np.int64], k: int) -> Floats:
    """1 where the one relevant item stands inside the first k (also its hit rate)."""
    return (rank < k).astype(np.float64)


def mrr(rank: NDArray[np.int64], k: int) -> Floats:
    """1 / position inside the first k."""
    return np.where(rank < k, 1 / (rank + 1.0), 0.0)


def list_figures(rank: NDArray[np.int64], list_of: NDArray[np.int64], k: int) -> dict[str, Floats]:
    """Figures (L,) of lists with one or several targets, from each target's place in its list (M,) and list (M,).

    The ideal list has all targets first, as far as k places reach: NDCG and average precision divide by what it gets.
    Recall divides by all targets, precision by k. Every list has a target. Definitions as in Järvelin and Kekäläinen
    (2002) for NDCG and in Manning, Raghavan and Schütze (2008, chapter 8) for the others.
    """
    n_lists = int(list_of.max(initial=-1)) + 1
    count = np.bincount(list_of, minlength=n_lists)
    reachable = np.minimum(count, k)
    is_hit = rank < k
    hits = np.bincount(list_of, is_hit, minlength=n_lists)
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2.0))[reachable - 1]
    precision, recalled = hits / k, hits / count
    best = np.full(n_lists, np.iinfo(np.int64).max)
    np.minimum.at(best, list_of, rank)
    return {
        "ndcg": np.bincount(list_of, ndcg(rank, k), minlength=n_lists) / ideal,
        "recall": recalled,
        "precision": precision,
        "f1": 2 * precision * recalled / np.where(hits > 0, precision + recalled, 1.0),
        "mrr": mrr(best, k),
        "map": _summed_precision(rank, list_of, k, n_lists) / reachable,
        "hit_rate": (hits > 0).astype(np.float64),
    }


def _summed_precision(rank: NDArray[np.int64], list_of: NDArray[np.int64], k: int, n_lists: int) -> Floats:
    """(L,) over the hits of a list, the sum of the share of hits down to each."""
    order = np.lexsort((rank, list_of))
    rank, list_of = rank[order], list_of[order]
    start = np.searchsorted(list_of, np.arange(n_lists))
    nth = np.arange(len(rank)) - start[list_of] + 1
    return np.asarray(np.bincount(list_of, np.where(rank < k, nth / (rank + 1.0), 0.0), n_lists), dtype=np.float64)


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
