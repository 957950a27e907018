"""What the applications under test are made of: models by hand, bundles, and the exports of a small world."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOPICS = ("sea", "space", "food")
ITEM_IDS = [f"{topic}-{number}" for topic in TOPICS for number in range(10)]
UNAVAILABLE = "sea-9"
NOT_YET = "space-9"
NEW_ITEM = "new-0"  # in the catalogue, but younger than the model
DAY = datetime(2025, 6, 1, tzinfo=UTC)
MOMENT = pa.timestamp("us", tz="UTC")


def recommender_for(favourite):
    """Neighbours on their topic's line speak for each other; without a history the favourite topic leads."""
    from training.blend import REGIMES
    from training.history import Recency
    from training.llm_recommender import HEADS, LLMRecommender
    from training.neighbours import Neighbours

    topic = np.repeat(np.arange(len(TOPICS)), 10)
    place = np.tile(np.arange(10), len(TOPICS))
    near = np.where(topic[:, None] == topic, 1.0 / (1 + np.abs(place[:, None] - place)), 0).astype(np.float32)
    np.fill_diagonal(near, 0)
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    weights[:, [HEADS.index("item_item"), HEADS.index("text"), HEADS.index("trend_all")]] = [1.0, 0.2, 0.01]
    popularity = np.zeros((len(ITEM_IDS), 4), dtype=np.float32)
    popularity[topic == TOPICS.index(favourite), 3] = np.arange(10, 0, -1)
    return LLMRecommender(
        item_ids=list(ITEM_IDS),
        item_vectors=np.eye(len(TOPICS), dtype=np.float32)[topic],
        popularity=popularity,
        item_item=Neighbours.strongest(near, 9),
        transitions=Neighbours.strongest(near, 9),
        sequence=None,
        weights=weights,
        recency=Recency(),
    )


READABLE = {
    "sea": ("Pirates of the stormy sea", "The whale hunters", "Sailing around the world", "A submarine below the ice"),
    "space": ("Voyage to Mars", "The last starship", "Aliens above the moon", "Rescue from a black hole"),
    "food": ("The baker of Paris", "Secrets of the kitchen", "A feast of noodles", "Chocolate summer"),
}
"""Titles by topic of a world that is read by a real language model; the last of each topic is scary, and costs 40."""


def readable_rows():
    """The items of that world: sea-0 to food-3."""
    return [
        {
            "item_id": f"{topic}-{number}",
            "title": title,
            "categories": [topic.capitalize()],
            "tags": ["horror"] if number == 3 else ["family"],
            "price": 10.0 * (number + 1),
            "attributes": json.dumps({"colour": ["red", "blue"][number % 2], "pages": 100 * number}),
            "updated_at": DAY,
        }
        for topic, titles in READABLE.items()
        for number, title in enumerate(titles)
    ]


def reading_bundle(folder: Path, vectors_dir: Path):
    """A bundle whose items MiniLM has read; nobody has met any of them, so words are all that speaks."""
    from training.backbones import resolve_backbone
    from training.blend import REGIMES
    from training.bundle import write_bundle
    from training.history import Recency
    from training.llm_recommender import HEADS, LLMRecommender
    from training.neighbours import Neighbours
    from training.onnx_encoder import export_text_encoder
    from training.text_tower import encode_texts, fit_whitening, item_text

    rows, backbone = readable_rows(), resolve_backbone("minilm")
    texts = [item_text(row["title"], row["categories"], row["tags"]) for row in rows]
    raw = encode_texts(texts, backbone=backbone, cache_dir=vectors_dir, progress=False)
    whitening = fit_whitening(raw)
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    weights[:, HEADS.index("text")] = 1.0
    nothing = Neighbours.strongest(np.zeros((len(rows), len(rows)), dtype=np.float32), 4)
    recommender = LLMRecommender(
        item_ids=[row["item_id"] for row in rows],
        item_vectors=whitening.apply(raw),
        popularity=np.zeros((len(rows), 4), dtype=np.float32),
        item_item=nothing,
        transitions=nothing,
        sequence=None,
        weights=weights,
        recency=Recency(),
        whitening=whitening,
    )
    write_bundle(
        folder,
        recommender,
        pa.Table.from_pylist(rows),
        text_encoder=backbone.as_lineage(),
        data={},
        config={},
        created_from={},
        text_encoder_folder=export_text_encoder(backbone, vectors_dir.parent / "text_encoders"),
    )


def catalogue_table(item_ids):
    """The items as dbt exports them."""
    rows = [
        {
            "item_id": item_id,
            "title": item_id.replace("-", " number ").capitalize(),
            "categories": [item_id.partition("-")[0]],
            "available_from": datetime(2199, 1, 1, tzinfo=UTC) if item_id == NOT_YET else None,
            "is_available": item_id != UNAVAILABLE,
        }
        for item_id in item_ids
    ]
    columns = [("item_id", pa.string()), ("title", pa.string()), ("categories", pa.list_(pa.string()))]
    columns += [("available_from", MOMENT), ("is_available", pa.bool_())]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def register(tracking_uri, folder: Path, favourite):
    """Log and register one bundle; returns the version."""
    from training.bundle import write_bundle

    described = {"text_encoder": {"name": "none"}, "data": {}, "config": {}, "created_from": {}}
    write_bundle(folder, recommender_for(favourite), catalogue_table(ITEM_IDS), **described)
    return register_bundle(tracking_uri, folder, favourite)


def register_bundle(tracking_uri, folder: Path, name):
    """Log and register what lies in a folder; returns the version."""
    from training.registry import register_run
    from training.tracking import log_bundle, training_run

    with training_run(tracking_uri, name) as run:
        log_bundle(tracking_uri, run.info.run_id, folder)
    return register_run(tracking_uri, run.info.run_id)


def write_exports(home: Path):
    """What dbt exports: user "reader" met sea-4 and turned food-0 down; sea items are popular this week."""
    counts = [(f"n_interactions_{span}", pa.int64()) for span in ("1d", "7d", "30d", "total")]
    reader = {
        "user_id": "reader",
        "event_timestamp": DAY + timedelta(hours=2),
        "recent_event_ids": ["r1", "r2", "r3"],
        "recent_item_ids": ["sea-4", "gone-1", "food-0"],
        "recent_event_types": ["rating", "view", "dislike"],
        "recent_values": [4.5, None, None],
        "recent_occurred_at": [int((DAY + timedelta(hours=hour)).timestamp()) * 1_000_000 for hour in range(3)],
        "seen_item_ids": ["food-0", "gone-1", "sea-3", "sea-4"],
    }
    recent_columns = [("user_id", pa.string()), ("event_timestamp", MOMENT)]
    recent_columns += [(f"recent_{name}", pa.list_(pa.string())) for name in ("event_ids", "item_ids", "event_types")]
    recent_columns += [("recent_values", pa.list_(pa.float64())), ("recent_occurred_at", pa.list_(pa.int64()))]
    recent_columns += [("seen_item_ids", pa.list_(pa.string()))]
    activity = {
        "user_id": "reader",
        "event_timestamp": DAY + timedelta(days=1),
        **dict.fromkeys([name for name, _ in counts], 3),
        "n_active_days": 1,
        "last_interaction_at": DAY + timedelta(hours=2),
    }
    activity_columns = [("user_id", pa.string()), ("event_timestamp", MOMENT), *counts, ("n_active_days", pa.int64())]
    activity_columns += [("last_interaction_at", MOMENT)]
    popularity = [
        {
            "item_id": item_id,
            "event_timestamp": DAY + timedelta(days=1),
            **dict.fromkeys([name for name, _ in counts], 10 - int(item_id.partition("-")[2])),
        }
        for item_id in ITEM_IDS
        if item_id.startswith("sea")
    ]
    popularity_columns = [("item_id", pa.string()), ("event_timestamp", MOMENT), *counts]
    exports = {
        "fct_user_recent_events": ([reader], recent_columns),
        "fct_user_activity_daily": ([activity], activity_columns),
        "fct_item_popularity_daily": (popularity, popularity_columns),
    }
    (home / "features").mkdir(parents=True)
    for mart, (rows, columns) in exports.items():
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), home / "features" / f"{mart}.parquet")
    pq.write_table(catalogue_table([*ITEM_IDS, NEW_ITEM]), home / "features" / "dim_items.parquet")
