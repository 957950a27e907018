"""Parts of the test events beside the whole: completing a session and predicting a next visit are two jobs."""

import numpy as np
from numpy.typing import NDArray

from training.dataset import Snapshot, Targets

_DAY_US = 86_400 * 1_000_000


def slices_of(
    snapshot: Snapshot, targets: Targets, known_interactions: NDArray[np.int64] | None
) -> dict[str, NDArray[np.bool_]]:
    """Masks over the targets by moment, by how well the item was known at the cut, by how well the user was."""
    batch = snapshot.histories(targets)
    has_history = batch.lengths > 0
    since_last = np.where(has_history, batch.now - batch.times[:, -1], 0)
    item_count = snapshot.item_counts[targets.item]
    first, last = _first_and_last(targets)
    slices = {
        "first_of_session": ~batch.is_inside_session,
        "inside_session": batch.is_inside_session,
        "later_day": has_history & (since_last > _DAY_US),
        "first_event_of_user": first,
        "last_event_of_user": last,
        "item_seen_0": item_count == 0,
        "item_seen_1_to_5": (item_count >= 1) & (item_count <= 5),
        "item_seen_6_to_20": (item_count >= 6) & (item_count <= 20),
        "item_seen_over_20": item_count > 20,
    }
    if known_interactions is not None:
        slices |= {
            "user_known_0": known_interactions == 0,
            "user_known_1_to_3": (known_interactions >= 1) & (known_interactions <= 3),
            "user_known_4_to_10": (known_interactions >= 4) & (known_interactions <= 10),
            "user_known_over_10": known_interactions > 10,
        }
    return {name: inside for name, inside in slices.items() if inside.any()}


def _first_and_last(targets: Targets) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Each user's first and last test event."""
    first, last = np.zeros(len(targets), dtype=bool), np.zeros(len(targets), dtype=bool)
    first[np.unique(targets.user, return_index=True)[1]] = True
    last[len(targets) - 1 - np.unique(targets.user[::-1], return_index=True)[1]] = True
    return first, last
