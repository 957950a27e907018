"""Homes to serve from, of any size and within a minute: nothing is trained, and everything is of the real form.

Items stand in topics. Vectors, neighbours and popularity are drawn around them, and the sequence network is set by
hand: it reads a history as the mean of its items, newer ones more, which is about what training arrives at. So scores
have the spread and the overlap of a trained model, every head counts, and the bundle is one that the project's own code
wrote, logged, registered and promoted. Users are as in the marts' contract, and their features are applied and
materialised.
"""

import shutil
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.settings import Settings

if TYPE_CHECKING:
    from training.whitening import Whitening

N_USERS = 2_000
TOPIC_SIZE = 250
WORD_SIZE, TEXT_SIZE, SEQUENCE_SIZE, MAX_LENGTH = 384, 256, 64, 64
ITEM_ITEM_WIDTH, TRANSITIONS_WIDTH = 200, 100
LAST_DAY = datetime(2025, 6, 1, tzinfo=UTC)
SEED = 0
_FORM = 3
"""Raise it when what is made here changes, so that homes of before are made anew."""
_BLOCK = 50_000

WEIGHTS = {
    "item_item": 1.1,
    "sequence": 0.6,
    "text": 0.25,
    "text_new": 0.2,
    "transitions": 0.1,
    "trend_30d": 0.1,
    "trend_all": 0.05,
}
"""As training chose on MovieLens-small, and a little of the trend: every head whose answer takes time has a weight."""
STRANGER_WEIGHTS = {"trend_7d": 0.5, "trend_30d": 1.0, "trend_all": 0.3}

_MOMENT = pa.timestamp("us", tz="UTC")
_COUNTS = [(f"n_interactions_{span}", pa.int64()) for span in ("1d", "7d", "30d", "total")]
_TEXTS, _NUMBERS = pa.list_(pa.string()), pa.list_(pa.int64())


def make_world(home: Path, n_items: int) -> None:
    """Fill the home, unless it is full already; what an interrupted run left is made anew."""
    finished = home / "bench-world.txt"
    if finished.exists() and finished.read_text() == _described(n_items):
        return
    shutil.rmtree(home, ignore_errors=True)
    settings = Settings(home=home)
    settings.features_dir.mkdir(parents=True)
    dice = np.random.default_rng(SEED)
    popularity = _popularity(n_items, dice)
    _write_exports(settings.features_dir, popularity, dice)
    _register(settings, popularity, dice)
    _fill_store(home)
    finished.write_text(_described(n_items))


def user_ids() -> list[str]:
    """Users of whom something is known."""
    return [f"user-{number:05d}" for number in range(N_USERS)]


def item_ids(n_items: int) -> list[str]:
    """Every item, the first of a topic the most popular ones."""
    return [f"item-{number:07d}" for number in range(n_items)]


def _described(n_items: int) -> str:
    from training.llm_recommender import HEADS

    return f"form {_FORM}, heads {' '.join(HEADS)}, {n_items} items, {N_USERS} users\n"


def _popularity(n_items: int, dice: np.random.Generator) -> NDArray[np.float32]:
    """(V, 4) counts with a long tail."""
    total = 50_000 / np.arange(1, n_items + 1) ** 0.8
    dice.shuffle(total)
    shares = np.array([0.003, 0.02, 0.1, 1.0])
    return np.floor(total[:, None] * shares * dice.uniform(0.5, 1.5, (n_items, 4))).astype(np.float32)


def _topic_of(n_items: int) -> NDArray[np.int64]:
    return np.arange(n_items) // TOPIC_SIZE


def vectors_by_topic(n_items: int, size: int, spread: float, dice: np.random.Generator) -> NDArray[np.float32]:
    """(V, size) of length 1 around one centre a topic."""
    topic = _topic_of(n_items)
    centres = dice.normal(size=(int(topic[-1]) + 1, size)).astype(np.float32)
    vectors = np.empty((n_items, size), dtype=np.float32)
    for start in range(0, n_items, _BLOCK):
        block = slice(start, min(start + _BLOCK, n_items))
        noise = dice.standard_normal((block.stop - block.start, size), dtype=np.float32)
        vectors[block] = centres[topic[block]] + np.float32(spread) * noise
        vectors[block] /= np.linalg.norm(vectors[block], axis=1, keepdims=True)
    return vectors


def _neighbours(n_items: int, width: int, dice: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Mostly of the item's own topic, the rest from anywhere; weights fall, and some speak against."""
    width = min(width, n_items - 1)
    items = np.empty((n_items, width), dtype=np.int32)
    weights = np.empty((n_items, width), dtype=np.float32)
    falling = (1 / (2 + np.arange(width))).astype(np.float32)
    for start in range(0, n_items, _BLOCK):
        stop = min(start + _BLOCK, n_items)
        begin = (np.arange(start, stop) // TOPIC_SIZE * TOPIC_SIZE)[:, None]
        size = np.minimum(TOPIC_SIZE, n_items - begin)
        near = begin + dice.integers(0, size, (stop - start, width))
        far = dice.integers(0, n_items, (stop - start, width), dtype=np.int32)
        items[start:stop] = np.where(dice.random((stop - start, width), dtype=np.float32) < 0.8, near, far)
        drawn = dice.random((stop - start, width), dtype=np.float32)
        weights[start:stop] = falling * np.where(drawn < 0.1, -0.3, drawn)
    return items, weights


def _network() -> bytes:
    """The sequence network, set to read a history as the mean of its items, the newest counting most."""
    import torch

    from training.sequence_network import HistoryReader, SequenceConfig, export_onnx

    torch.manual_seed(SEED)
    reader = HistoryReader(SequenceConfig(embedding_size=SEQUENCE_SIZE, max_length=MAX_LENGTH))
    with torch.no_grad():
        for block in reader.blocks:
            block.query_key_value.weight.zero_()
            block.query_key_value.weight[2 * SEQUENCE_SIZE :] = torch.eye(SEQUENCE_SIZE)
            block.distance_bias.copy_(-0.3 * torch.arange(MAX_LENGTH)[:, None])
            block.attention_out.weight.copy_(torch.eye(SEQUENCE_SIZE))
            block.feed_forward[2].weight.zero_()
        reader.out.weight.copy_(torch.eye(SEQUENCE_SIZE))
    return export_onnx(reader)


def _whitening(dice: np.random.Generator) -> "Whitening":
    """A turn into the space of the items: queries are read by a real language model, whatever they then find."""
    from training.whitening import Whitening

    turn, _ = np.linalg.qr(dice.normal(size=(WORD_SIZE, TEXT_SIZE)))
    return Whitening(np.zeros(WORD_SIZE, dtype=np.float32), turn.astype(np.float32))


def _register(settings: Settings, popularity: NDArray[np.float32], dice: np.random.Generator) -> None:
    """The bundle, logged, registered and promoted as any other."""
    from training.backbones import resolve_backbone
    from training.blend import REGIMES
    from training.bundle import write_bundle
    from training.history import Recency
    from training.llm_recommender import HEADS, LLMRecommender
    from training.neighbours import Neighbours
    from training.onnx_encoder import export_text_encoder
    from training.registry import make_champion, register_run
    from training.sequence_head import SequenceHead
    from training.tracking import log_bundle, training_run

    n_items, backbone = len(popularity), resolve_backbone("minilm")
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    for head, weight in WEIGHTS.items():
        weights[1:, HEADS.index(head)] = weight
    for head, weight in STRANGER_WEIGHTS.items():
        weights[0, HEADS.index(head)] = weight
    sequence = SequenceHead.build(
        vectors_by_topic(n_items, SEQUENCE_SIZE, 0.7, dice),
        dice.normal(scale=0.05, size=n_items).astype(np.float32),
        dice.normal(scale=0.05, size=(TEXT_SIZE + 1, SEQUENCE_SIZE)).astype(np.float32),
        _network(),
        MAX_LENGTH,
    )
    recommender = LLMRecommender(
        item_ids=item_ids(n_items),
        item_vectors=vectors_by_topic(n_items, TEXT_SIZE, 1.0, dice),
        popularity=popularity,
        item_item=Neighbours(*_neighbours(n_items, ITEM_ITEM_WIDTH, dice)),
        transitions=Neighbours(*_neighbours(n_items, TRANSITIONS_WIDTH, dice)),
        sequence=sequence,
        weights=weights,
        recency=Recency(a=0.92, session_decay=0.8, long_term_decay=0.96),
        whitening=_whitening(dice),
    )
    folder = settings.home / "bundle"
    described: dict[str, Any] = {
        "text_encoder": {"name": backbone.name, "revision": backbone.revision, "space": backbone.space},
        "data": {"until_us": int(LAST_DAY.timestamp() * 1e6)},
        "config": {},
        "created_from": {"benchmark": "serve"},
    }
    items = pq.read_table(settings.features_dir / "dim_items.parquet")
    encoder = export_text_encoder(backbone, settings.models_dir / "text_encoders")
    write_bundle(folder, recommender, items, **described, text_encoder_folder=encoder)
    with training_run(settings.tracking_uri, f"bench {n_items}") as run:
        log_bundle(settings.tracking_uri, run.info.run_id, folder)
    shutil.rmtree(folder)
    version = register_run(settings.tracking_uri, run.info.run_id)
    make_champion(settings.tracking_uri, version, "made for a benchmark")


def _write_exports(features: Path, popularity: NDArray[np.float32], dice: np.random.Generator) -> None:
    """What dbt exports, as far as Feast and serving read it."""
    n_items = len(popularity)
    topic = _topic_of(n_items).tolist()
    ids = item_ids(n_items)
    items = {
        "item_id": ids,
        "title": [f"Thing {number} of topic {of}" for number, of in enumerate(topic)],
        "description": [f"One of the things that topic {of} is about." for of in topic],
        "categories": [[f"topic {of}"] for of in topic],
        "tags": [[]] * n_items,
        "price": [None] * n_items,
        "image_url": [None] * n_items,
        "attributes": ["{}"] * n_items,
        "available_from": [None] * n_items,
        "is_available": (dice.random(n_items) > 0.01).tolist(),
        "updated_at": [LAST_DAY] * n_items,
    }
    item_columns = [("item_id", pa.string()), ("title", pa.string()), ("description", pa.string())]
    item_columns += [("categories", _TEXTS), ("tags", _TEXTS), ("price", pa.float64()), ("image_url", pa.string())]
    item_columns += [("attributes", pa.string()), ("available_from", _MOMENT), ("is_available", pa.bool_())]
    _write(features / "dim_items.parquet", items, [*item_columns, ("updated_at", _MOMENT)])
    counts = {name: popularity[:, place].astype(np.int64) for place, (name, _) in enumerate(_COUNTS)}
    columns = [("item_id", pa.string()), ("popularity_date", pa.date32()), ("event_timestamp", _MOMENT), *_COUNTS]
    dated = {"popularity_date": [_day()] * n_items, "event_timestamp": [LAST_DAY] * n_items}
    _write(features / "fct_item_popularity_daily.parquet", {"item_id": ids, **dated, **counts}, columns)
    _write_users(features, n_items, dice)


def _write_users(features: Path, n_items: int, dice: np.random.Generator) -> None:
    """Histories of 10 to 100 events within a few topics each."""
    n_topics = int(_topic_of(n_items)[-1]) + 1
    recent: dict[str, list[Any]] = {
        name: [] for name in ("event_ids", "item_ids", "event_types", "values", "at", "seen")
    }
    for number in range(N_USERS):
        n_events = int(dice.integers(10, 101))
        topics = dice.integers(0, n_topics, 3)
        places = topics[dice.integers(0, 3, n_events)] * TOPIC_SIZE + dice.integers(0, TOPIC_SIZE, n_events)
        met = [f"item-{place:07d}" for place in np.minimum(places, n_items - 1)]
        hours = np.sort(dice.integers(0, 24 * 60, n_events))
        first = LAST_DAY - timedelta(days=60)
        recent["event_ids"].append([f"bench-{number}-{each:03d}" for each in range(n_events)])
        recent["item_ids"].append(met)
        recent["event_types"].append(["view"] * n_events)
        recent["values"].append([float("nan")] * n_events)
        recent["at"].append([int((first + timedelta(hours=int(hour))).timestamp() * 1e6) for hour in hours])
        recent["seen"].append(sorted(set(met)))
    events = {
        "user_id": user_ids(),
        "event_timestamp": [LAST_DAY - timedelta(hours=1)] * N_USERS,
        "recent_event_ids": recent["event_ids"],
        "recent_item_ids": recent["item_ids"],
        "recent_event_types": recent["event_types"],
        "recent_values": recent["values"],
        "recent_occurred_at": recent["at"],
        "seen_item_ids": recent["seen"],
    }
    columns = [("user_id", pa.string()), ("event_timestamp", _MOMENT), ("recent_event_ids", _TEXTS)]
    columns += [("recent_item_ids", _TEXTS), ("recent_event_types", _TEXTS), ("recent_values", pa.list_(pa.float64()))]
    columns += [("recent_occurred_at", _NUMBERS), ("seen_item_ids", _TEXTS)]
    _write(features / "fct_user_recent_events.parquet", events, columns)
    activity = {
        "user_id": user_ids(),
        "activity_date": [_day()] * N_USERS,
        "event_timestamp": [LAST_DAY] * N_USERS,
        **{name: [len(met) for met in recent["item_ids"]] for name, _ in _COUNTS},
        "n_active_days": [7] * N_USERS,
        "last_interaction_at": [LAST_DAY - timedelta(hours=1)] * N_USERS,
    }
    columns = [("user_id", pa.string()), ("activity_date", pa.date32()), ("event_timestamp", _MOMENT), *_COUNTS]
    columns += [("n_active_days", pa.int64()), ("last_interaction_at", _MOMENT)]
    _write(features / "fct_user_activity_daily.parquet", activity, columns)


def _day() -> date:
    return (LAST_DAY - timedelta(days=1)).date()


def _write(path: Path, rows: dict[str, Any], columns: list[tuple[str, pa.DataType]]) -> None:
    pq.write_table(pa.table(rows, schema=pa.schema(columns)), path)


def _fill_store(home: Path) -> None:
    from freshet.feature_store import apply, materialize

    apply(home)
    materialize(home)


if __name__ == "__main__":
    make_world(Path(sys.argv[1]), int(sys.argv[2]))
