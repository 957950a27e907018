"""Parts of the targets beside the whole: completing a session and predicting a next visit are two jobs."""

import numpy as np
from numpy.typing import NDArray

from training.snapshot import DAY_US, Snapshot, Targets

NEEDS_CLOCK = frozenset({"first_of_session", "inside_session", "later_time", "later_day"})
"""Where times are only an order, these mean nothing."""
_BY_COUNT = {"user_known": (0, 3, 10), "item_seen": (0, 5, 20)}
"""Upper ends of the ranges of what was known of a user, and of an item, at the cut."""


def slices_of(
    snapshot: Snapshot, targets: Targets, known_interactions: NDArray[np.int64] | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Masks over the targets by moment, by how well the item was known at the cut, by how well the user was then.

    ``first_of_session`` and ``inside_session`` go by the half hour of the contract; ``later_time`` has another time
    than the user's last event, so it leaves out lines of one invoice and reviews dated by the day alike; ``later_day``
    lies more than 24 hours after it. ``known_interactions`` (M,) are counted from the histories where nobody gives
    them.
    """
    batch = snapshot.histories(targets)
    has_history = batch.lengths > 0
    since_last = np.where(has_history, batch.now - batch.times[:, -1], 0)
    first, last = _first_and_last(targets)
    slices = {
        "first_of_session": ~batch.is_inside_session,
        "inside_session": batch.is_inside_session,
        "later_time": has_history & (since_last > 0),
        "later_day": has_history & (since_last > DAY_US),
        "first_event_of_user": first,
        "last_event_of_user": last,
        **_by_count("item_seen", snapshot.item_counts[targets.item]),
        **_by_count("user_known", batch.lengths if known_interactions is None else known_interactions),
    }
    return {name: inside for name, inside in slices.items() if inside.any()}


def _by_count(name: str, counts: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    none, few, some = _BY_COUNT[name]
    return {
        f"{name}_{none}": counts == none,
        f"{name}_{none + 1}_to_{few}": (counts > none) & (counts <= few),
        f"{name}_{few + 1}_to_{some}": (counts > few) & (counts <= some),
        f"{name}_over_{some}": counts > some,
    }


def _first_and_last(targets: Targets) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Each user's first and last target."""
    first, last = np.zeros(len(targets), dtype=bool), np.zeros(len(targets), dtype=bool)
    first[np.unique(targets.user, return_index=True)[1]] = True
    last[len(targets) - 1 - np.unique(targets.user[::-1], return_index=True)[1]] = True
    return first, last
