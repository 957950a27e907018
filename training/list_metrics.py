"""What lists are like, beside how often they are right: pure functions of the items shown.

Lists are rows of item indices (L, k). What a list is compared with (counts, vectors, categories, what the user had met)
comes from training data and from the moment of the list, never from later.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Lists = NDArray[np.int32]


@dataclass(frozen=True)
class Kinds:
    """What items are like, from training data."""

    counts: NDArray[np.int64]  # (V,) training interactions
    vectors: NDArray[np.float32]  # (V, E) of length 1
    categories: Floats  # (V, C) shares


def coverage(shown: Lists, n_items: int) -> float:
    """Share of the catalogue that stands in at least one list."""
    return len(np.unique(shown)) / n_items


def gini(shown: Lists, n_items: int) -> float:
    """How unequally places are dealt out to the whole catalogue: 0 alike for all, towards 1 all to one item."""
    exposure = np.sort(np.bincount(shown.ravel(), minlength=n_items))
    place = np.arange(1, n_items + 1)
    return float(((2 * place - n_items - 1) * exposure).sum() / (n_items * exposure.sum()))


def rarity(counts: NDArray[np.int64]) -> Floats:
    """(V,) −log2 of each item's share of training interactions, one added to each: bits."""
    return np.asarray(-np.log2((counts + 1) / (counts + 1).sum()), dtype=np.float64)


def novelty(shown: Lists, counts: NDArray[np.int64]) -> float:
    """Mean rarity of what is shown (Zhou et al. 2010)."""
    return float(rarity(counts)[shown].mean())


def in_tail(counts: NDArray[np.int64], share: float = 0.2) -> NDArray[np.bool_]:
    """(V,) the least met items that hold this share of training interactions together, or less (Celma 2010)."""
    order = np.argsort(counts, kind="stable")
    is_tail = np.zeros(len(counts), dtype=bool)
    is_tail[order[np.cumsum(counts[order]) <= share * counts.sum()]] = True
    return is_tail


def diversity(shown: Lists, vectors: NDArray[np.float32]) -> float:
    """Mean over lists of 1 − cosine of their pairs of items; ``vectors`` (V, E) have length 1 (Ziegler et al. 2005)."""
    k = shown.shape[1]
    if k < 2:
        return 0.0
    sums = vectors[shown].sum(axis=1, dtype=np.float64)  # (L, E): |Σv|² = Σ|v|² + 2 Σ cosines of pairs
    own = np.square(vectors[shown], dtype=np.float64).sum(axis=(1, 2))
    cosines = (np.square(sums).sum(axis=1) - own) / (k * (k - 1))
    return float((1 - cosines).mean())


def serendipity(is_hit: NDArray[np.bool_], shown: Lists, usual: Lists) -> float:
    """Mean share of a list that is right and that popularity would not have shown (Ge et al. 2010).

    ``usual`` (L, k) are the lists of popularity at the same moments.
    """
    is_usual = (shown[:, :, None] == usual[:, None, :]).any(axis=2)
    return float((is_hit & ~is_usual).mean())


def popularity_lift(shown: Lists, met: Lists, counts: NDArray[np.int64]) -> float:
    """How much more popular what is shown is than what the user had met: 1 is twice as much.

    As the group average popularity of Abdollahpouri et al. (2020). ``met`` (L, T) are the histories, −1 where there is
    none; lists of users without history fall out.
    """
    has_history = (met >= 0).any(axis=1)
    if not has_history.any():
        return 0.0
    known = np.ma.masked_array(counts[np.maximum(met, 0)], met < 0)[has_history]
    before, after = known.mean(axis=1).filled(0).mean(), counts[shown[has_history]].mean()
    return float(after / before - 1) if before > 0 else 0.0


def calibration(shown: Lists, met: Lists, categories: NDArray[np.float64]) -> float:
    """Mean KL divergence, in nats, of the categories of a list from those of the history (Steck 2018); 0 is calibrated.

    ``categories`` (V, C) share each item out among its categories. A hundredth of the history's distribution is mixed
    into the list's, so that an absent category costs much but not everything.
    """
    wanted = (categories[np.maximum(met, 0)] * (met >= 0)[:, :, None]).sum(axis=1)  # (L, C)
    given = categories[shown].sum(axis=1)
    is_known = (wanted.sum(axis=1) > 0) & (given.sum(axis=1) > 0)
    if not is_known.any():
        return 0.0
    wanted = wanted[is_known] / wanted[is_known].sum(axis=1, keepdims=True)
    given = given[is_known] / given[is_known].sum(axis=1, keepdims=True)
    mixed = 0.99 * given + 0.01 * wanted
    logarithm = np.log(np.divide(wanted, mixed, out=np.ones_like(wanted), where=wanted > 0))
    return float((wanted * logarithm).sum(axis=1).mean())


def category_shares(categories: list[list[str] | None]) -> NDArray[np.float64]:
    """(V, C) 1 / number of an item's categories where it has one; zeros for an item without any."""
    names = sorted({name for each in categories for name in each or []})
    place = {name: column for column, name in enumerate(names)}
    shares = np.zeros((len(categories), len(names)))
    for row, each in enumerate(categories):
        for name in each or []:
            shares[row, place[name]] = 1 / len(each or [])
    return shares


def described(shown: Lists, is_hit: NDArray[np.bool_], usual: Lists, met: Lists, kinds: Kinds) -> dict[str, float]:
    """All of these figures of some lists (L, k), by name."""
    n_items = len(kinds.counts)
    return {
        "coverage": coverage(shown, n_items),
        "gini": gini(shown, n_items),
        "novelty": novelty(shown, kinds.counts),
        "diversity": diversity(shown, kinds.vectors),
        "serendipity": serendipity(is_hit, shown, usual),
        "popularity_lift": popularity_lift(shown, met, kinds.counts),
        "calibration": calibration(shown, met, kinds.categories),
    }
