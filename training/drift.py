"""Whether the world has moved away from what the champion learned: reason enough to choose everything anew.

Three questions about the events since its training: are they like those just before it (features and priors), and
does the champion still find what people want next?
"""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.settings import Settings
from training import metrics, registry
from training.bundle import load_bundle
from training.dataset import Marts, read_marts
from training.evaluate import Each, evaluate
from training.snapshot import DAY_US, Snapshot
from training.variants import Translated

MAX_INSTABILITY = 0.25
"""Of the population stability index: from here on, scorecards are refitted (Siddiqi, Credit Risk Scorecards, 2006)."""
MAX_QUALITY_LOSS = 0.2
"""NDCG@10 on fresh events may lie a fifth below that of the champion's test, beyond chance."""
MAX_UNKNOWN_ITEMS = 0.3
"""Share of fresh events about items that the champion has never heard of."""
_QUALITY_EVENTS = 1_000
_RESAMPLES = 1_000
_REST = "…"


@dataclass(frozen=True)
class Drift:
    """What was looked at, and what is too much."""

    figures: dict[str, float]
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str | None:
        """All reasons as one text, or None."""
        return "; ".join(self.reasons) or None


def drift_of(settings: Settings, version: registry.ModelVersion, seed: int) -> Drift:
    """Look at what came since a version's training. Raises BundleError."""
    bundle = load_bundle(registry.download(version, settings.models_dir))
    cut = int(bundle.manifest.data["until_us"])
    marts = read_marts(settings.features_dir)
    figures = {
        f"{name}_instability": stability_index(*kinds)
        for name, kinds in (("event_type", _event_types(marts, cut)), ("category", _categories(marts, cut)))
    }
    snapshot = marts.snapshot(cut, seed)
    figures["pause_instability"] = stability_index(*_pauses(snapshot, cut))
    is_fresh = marts.occurred_at > cut
    is_known = np.isin(_item_ids(marts)[is_fresh], np.array(bundle.recommender.item_ids, dtype=object))
    figures["unknown_items"] = float(1 - is_known.mean())
    targets = snapshot.targets().sample(_QUALITY_EVENTS, seed)
    if len(targets):
        model = Translated.to(bundle.recommender, snapshot.item_ids)
        found = evaluate(Each({"champion": model}), snapshot, targets, seed, title="fresh events")
        ndcg = found.ndcg("champion")
        means = metrics.bootstrap_means(ndcg[:, None], found.users(), _RESAMPLES, seed)
        figures["fresh_ndcg_at_10"] = float(ndcg.mean())
        figures["fresh_ndcg_at_10_upper"] = metrics.interval(means[:, 0])[1]
        figures["test_ndcg_at_10"] = registry.figures(settings.tracking_uri, version.version)[
            "test/recommender/ndcg_at_10"
        ]
    return Drift(figures, tuple(too_much(figures)))


def stability_index(before: NDArray[np.object_], after: NDArray[np.object_]) -> float:
    """Σ (q − p)·ln(q / p) over the kinds, with shares p before and q after; half an event is added to each kind.

    Kinds with fewer than one in a hundred events before count as one, since rare ones come and go by chance.
    """
    if not len(before) or not len(after):
        return 0.0
    kinds, counts = np.unique(before, return_counts=True)
    common = kinds[counts >= 0.01 * len(before)]
    shares = []
    for events in (before, after):
        found = np.array([(events == kind).sum() for kind in common] + [(~np.isin(events, common)).sum()]) + 0.5
        shares.append(found / found.sum())
    p, q = shares
    return float(((q - p) * np.log(q / p)).sum())


def too_much(figures: dict[str, float]) -> list[str]:
    """Which of the figures of ``drift_of`` are reasons to choose everything anew."""
    reasons = [
        f"{name.replace('_', ' ')} {value:.2f}, more than {MAX_INSTABILITY}"
        for name, value in figures.items()
        if name.endswith("_instability") and value > MAX_INSTABILITY
    ]
    if figures["unknown_items"] > MAX_UNKNOWN_ITEMS:
        reasons.append(f"{figures['unknown_items']:.0%} of the events are about unknown items")
    if "fresh_ndcg_at_10" in figures:
        fresh, test = figures["fresh_ndcg_at_10_upper"], figures["test_ndcg_at_10"]
        if fresh < (1 - MAX_QUALITY_LOSS) * test:
            reasons.append(f"NDCG@10 on fresh events is surely below {fresh:.4f}, in the test it was {test:.4f}")
    return reasons


def _before_and_after(
    values: NDArray[np.object_], moments: NDArray[np.int64], cut: int
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """The values since the cut, and as many, or a thousand, from just before it."""
    after = values[moments > cut]
    old = np.flatnonzero(moments <= cut)
    newest = old[np.argsort(moments[old], kind="stable")][-max(len(after), 1_000) :]
    return values[newest], after


def _event_types(marts: Marts, cut: int) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    types = pc.list_flatten(marts.tables["fct_training_sequences"]["event_types"])
    return _before_and_after(np.array(types.to_pylist(), dtype=object), marts.occurred_at, cut)


def _categories(marts: Marts, cut: int) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Of each event the first category of its item, as the items are described now."""
    items = marts.items_as_of(marts.last_moment)
    names = zip(items["item_id"].to_pylist(), items["categories"].to_pylist(), strict=True)
    category = {item_id: (found or [_REST])[0] for item_id, found in names}
    values = np.array([category.get(item_id, _REST) for item_id in _item_ids(marts)], dtype=object)
    return _before_and_after(values, marts.occurred_at, cut)


def _pauses(snapshot: Snapshot, cut: int) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """The time since the user's event before, by powers of four seconds.

    Up to a day: longer ones are the rarer the younger the platform is, which is no change in what people do.
    """
    events = snapshot.events
    pause = np.diff(events.occurred_at, prepend=0)
    inside = (events.first_of_user != np.arange(len(events))) & (pause < DAY_US)
    bucket = np.floor(np.log2(1 + pause[inside] / 1e6) / 2).astype(np.int64)
    return _before_and_after(bucket.astype(object), events.occurred_at[inside], cut)


def _item_ids(marts: Marts) -> NDArray[np.object_]:
    return np.array(pc.list_flatten(marts.tables["fct_training_sequences"]["item_ids"]).to_pylist(), dtype=object)
