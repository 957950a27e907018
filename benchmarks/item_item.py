"""Fit the item-item head on a made-up catalogue, and write what it took: `benchmarks/train.py` calls it.

Users meet items of a few topics each, popular ones more often; vectors stand around the topics, as a language model's
do. Nothing is served from it.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.serve_world import TEXT_SIZE, TOPIC_SIZE, vectors_by_topic
from freshet.memory import forget_peak, peak_bytes
from training.item_item import ItemItemConfig, fit_item_item
from training.snapshot import Events

N_EVENTS, EVENTS_PER_USER = 1_000_000, 75
TOPICS_PER_USER = 3
SEED = 0
_HOUR_US = 3_600 * 1_000_000


def made_up_events(n_events: int, n_items: int) -> Events:
    """Interactions of the same number for each user, an hour apart."""
    dice = np.random.default_rng(SEED)
    n_users, n_topics = max(n_events // EVENTS_PER_USER, 1), -(-n_items // TOPIC_SIZE)
    topics = dice.integers(0, n_topics, (n_users, TOPICS_PER_USER))
    user = np.repeat(np.arange(n_users, dtype=np.int32), EVENTS_PER_USER)
    topic = topics[user, dice.integers(0, TOPICS_PER_USER, len(user))]
    place = (TOPIC_SIZE * dice.random(len(user)) ** 3).astype(np.int64)  # the first of a topic are met most
    item = np.minimum(topic * TOPIC_SIZE + place, n_items - 1).astype(np.int32)
    at: NDArray[np.int64] = np.tile(np.arange(EVENTS_PER_USER, dtype=np.int64) * _HOUR_US, n_users)
    return Events(user, item, at, at, np.zeros(len(user), dtype=bool), np.ones(len(user), dtype=np.int32))


def main(n_items: int, n_events: int, out: Path) -> None:
    """Fit once, with the settings that training begins with."""
    events = made_up_events(n_events, n_items)
    vectors = vectors_by_topic(n_items, TEXT_SIZE, 1.0, np.random.default_rng(SEED))
    forget_peak()
    began, cpu_began = time.perf_counter(), time.process_time()
    fit_item_item(events, vectors, ItemItemConfig())
    took = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu_began}
    out.write_text(json.dumps({**took, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
