"""The leak gate: whatever arrives after a moment changes not one byte of the training set as of that moment.

From files through ingestion, dbt and Feast to arrays, texts, counts and features. The gate itself is tested, too: what
was known by then does change the bytes.
"""

import hashlib
import json
import shutil
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from freshet.dbt_project import build_marts
from freshet.feature_store import CATALOGUE_SERVICE, apply, open_store
from freshet.settings import Settings
from ingestion.ingest import ingest_dataset
from tests.conftest import SMALL_WORLD
from training.activity import interactions_as_of
from training.dataset import read_marts

MOMENT = datetime(2025, 1, 4, 12, tzinfo=UTC)
MOMENT_US = int(MOMENT.timestamp()) * 1_000_000
USERS, ITEMS = ["ann", "bob", "max", "zoë"], ["blå-å", "i1", "i2", "i3", "i4", "i5", "x000"]

BEFORE, EARLIER, AFTER, LATER = (
    "2025-01-03T10:00:00Z",
    "2025-01-01T10:35:00Z",
    "2025-01-05T09:00:00Z",
    "2025-01-07T09:00:00Z",
)


def view(event_id, user_id, item_id, occurred_at, received_at=None, **more):
    row = {
        "event_id": event_id,
        "event_type": "view",
        "user_id": user_id,
        "item_id": item_id,
        "occurred_at": occurred_at,
    }
    return {**row, "received_at": received_at or occurred_at, **more}


FUTURE = [
    view("f1", "ann", "i2", LATER),
    view("f2", "ann", "i5", LATER, event_type="hide"),
    view("f3", "aaron", "x-future", LATER),  # the first of all users by name, and an item that nobody had met
    view("f4", "zoë", "i1", LATER, event_type="tag", text="cold"),
]
BACKFILLED = [
    view("p1", "ann", "i3", EARLIER, AFTER),  # bridges two of her sessions
    view("p2", "max", "x000", EARLIER, AFTER),
    view("p3", "abel", "x-past", EARLIER, AFTER),  # a user and an item that only late rows know
    view("p4", "zoë", "i1", EARLIER, AFTER, event_type="tag", text="cold"),
    view("p5", "zoë", "blå-å", EARLIER, AFTER, event_type="dislike"),
    view("a1", "ann", "i5", EARLIER, AFTER),  # a known event again, saying something else
]
EDITED_ITEMS = [
    {"item_id": "i1", "title": "Rivers of the south", "updated_at": AFTER},
    {"item_id": "i2", "title": "Lakes", "tags": ["deep"], "updated_at": AFTER},
    {"item_id": "blå-å", "title": "Blue river", "updated_at": AFTER},  # until then called by its id
    {"item_id": "a-new", "title": "Older than it is known", "available_from": EARLIER, "updated_at": AFTER},
]
EDITED_USERS = [{"user_id": "ann", "attributes": {"city": "Bonn"}, "created_at": AFTER}]

KNOWN_BY_THEN = [
    view("k1", "zoë", "i3", BEFORE),
    view("k2", "ann", "i1", EARLIER, BEFORE, event_type="tag", text="wide"),
]
EDITED_BY_THEN = [{"item_id": "i2", "title": "Lakes and ponds", "updated_at": BEFORE}]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The training set as of the moment: of the small world, with rows planted, and of a home built anew from all."""
    folder = tmp_path_factory.mktemp("leaks")
    shutil.copytree(SMALL_WORLD, folder / "world")
    settings, found = Settings(home=folder / "home"), {}
    found["before"] = built(settings, folder / "world")
    plant(folder / "world", events=FUTURE + BACKFILLED, items=EDITED_ITEMS, users=EDITED_USERS)
    found["planted"] = built(settings, folder / "world")
    found["planted, refreshed"] = built(settings, folder / "world", full_refresh=True)
    found["planted, at once"] = built(Settings(home=folder / "other"), folder / "world")
    plant(folder / "world", events=KNOWN_BY_THEN, items=EDITED_BY_THEN)
    found["known by then"] = built(settings, folder / "world")
    return found


@pytest.mark.parametrize("name", ["planted", "planted, refreshed", "planted, at once"])
def test_rows_that_arrive_later_change_not_one_byte(sets, name):
    before, after = sets["before"], sets[name]
    assert {part for part in before if after[part] != before[part]} == set()
    assert digest(after) == digest(before)


def test_the_gate_closes_on_rows_that_were_known_by_then(sets):
    before, after = sets["before"], sets["known by then"]
    changed = {part for part in before if after.get(part) != before[part]}
    assert changed >= {"content_hash", "texts", "training.item", "popularity.counts", "activity", "item features"}
    assert digest(after) != digest(before)


def test_the_planted_rows_did_arrive(sets):
    assert sets["before"].n_interactions == 113
    assert sets["planted"].n_interactions == sets["planted, at once"].n_interactions == 113 + 7


class TrainingSet(dict):
    """Parts by name, as bytes; and how many interactions the marts hold today."""

    n_interactions = 0


def plant(world, **rows_by_file):
    for name, rows in rows_by_file.items():
        with (world / f"{name}.jsonl").open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def built(settings, world, full_refresh=False):
    ingest_dataset(settings, str(world), is_progress_shown=False)
    build_marts(settings.home, full_refresh)
    apply(settings.home)
    return training_set(settings)


def training_set(settings):
    """All that training reads as of the moment, and what evaluation reads of a moment within later marts."""
    marts, later = read_marts(settings.features_dir, as_of=MOMENT_US), read_marts(settings.features_dir)
    parts = TrainingSet(content_hash=marts.content_hash.encode())
    parts.n_interactions = len(later.occurred_at)
    for name, table in marts.tables.items():
        parts[name] = json.dumps(table.to_pylist(), default=str).encode()
    for cut in (*marts.cuts(), MOMENT_US):
        parts |= {f"{cut}: {name}": part for name, part in snapshot_parts(marts.snapshot(cut, seed=0)).items()}
    parts |= snapshot_parts(later.snapshot(MOMENT_US, seed=0))
    parts["activity"] = interactions_as_of(settings.home, USERS, np.full(len(USERS), MOMENT_US)).tobytes()
    parts["item features"] = item_features(settings.home)
    return parts


def snapshot_parts(snapshot):
    training = snapshot.training
    arrays = {f"training.{name}": getattr(training, name) for name in training.__dataclass_fields__ if name != "user"}
    counts = snapshot.popularity.as_of(snapshot.cut, snapshot.n_items)
    arrays |= {"item_counts": snapshot.item_counts, "popularity.counts": counts, "latest": snapshot.latest_popularity}
    words = {
        "items": snapshot.item_ids,
        "texts": snapshot.texts,
        # A user's number counts the users before them by name, later ones included: nothing is learned from it.
        "training.user": [snapshot.user_ids[user] for user in training.user],
    }
    return {name: array.tobytes() for name, array in arrays.items()} | {
        name: "\n".join(lines).encode() for name, lines in words.items()
    }


def item_features(home):
    store = open_store(home)
    entities = pd.DataFrame({"item_id": ITEMS, "event_timestamp": [MOMENT] * len(ITEMS)})
    rows = store.get_historical_features(entities, store.get_feature_service(CATALOGUE_SERVICE)).to_df()
    return rows.sort_values("item_id").sort_index(axis=1).to_json(orient="records").encode()


def digest(parts):
    return hashlib.sha256(b"".join(name.encode() + part for name, part in sorted(parts.items()))).hexdigest()
