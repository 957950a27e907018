import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated MLflow database with the experiment in it: MLflow takes seconds to make one."""
    from training.tracking import prepare_tracking

    folder = tmp_path_factory.mktemp("mlflow")
    prepare_tracking(f"sqlite:///{folder}/mlflow.db")
    return folder / "mlflow.db"


@pytest.fixture(scope="module")
def tracking_uri(new_database: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking store of this module's own."""
    database = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    shutil.copy(new_database, database)
    return f"sqlite:///{database}"


@pytest.fixture(scope="module")
def world_settings(world_home: Path, tracking_uri: str, tmp_path_factory: pytest.TempPathFactory):
    """The settings of a home with nothing but the small world's marts and an empty tracking store."""
    from freshet.settings import load_settings

    home = tmp_path_factory.mktemp("home")
    shutil.copytree(world_home / "features", home / "features")
    (home / "mlflow").mkdir()
    shutil.copy(tracking_uri.removeprefix("sqlite:///"), home / "mlflow" / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRESHET_HOME", str(home))
        return load_settings()


@pytest.fixture(scope="module")
def settings(world_settings):
    """The same home with its features registered in Feast, as a training wants it."""
    from freshet.feature_store import apply

    apply(world_settings.home)
    return world_settings


@pytest.fixture(scope="session")
def small_config():
    """A training that takes seconds and still learns the small world."""
    from training.config import TrainConfig
    from training.item_item import ItemItemConfig
    from training.sequence_network import SequenceConfig

    return TrainConfig(
        epochs=2,
        item_item=ItemItemConfig(ridge=5, text_weight=5),
        sequence=SequenceConfig(embedding_size=16, max_length=16, learning_rate=0.02),
    )


@pytest.fixture(scope="session")
def world_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose marts tell of 60 people and 120 things in 4 topics; in a session one goes from thing to thing.

    People keep to one topic, so behaviour, order and words all tell what comes next, and popularity does not.
    """
    home = tmp_path_factory.mktemp("world")
    write_world(home)
    return home


def write_world(home: Path, n_users: int = 60, n_days: int = 40, seed: int = 3) -> None:
    """The marts that training reads, exported as dbt exports them."""
    import datetime
    import json
    import random

    import duckdb

    dice = random.Random(seed)
    words = {"cooking": "soup bread", "space": "rocket planet", "garden": "rose soil", "music": "violin choir"}
    topics = list(words)
    items = [(f"i{number:03}", topics[number // 30], number % 30) for number in range(120)]
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    rows = []
    for user in range(n_users):
        topic, place = user % 4, dice.randrange(30)
        for day in sorted(dice.sample(range(n_days), 6)):
            moment = start + datetime.timedelta(days=day, minutes=dice.randrange(1_200))
            for _ in range(3):
                strays = dice.random() < 0.1
                number = dice.randrange(120) if strays else topic * 30 + place % 30
                place += 0 if strays else 1
                moment += datetime.timedelta(seconds=dice.randrange(20, 300))
                kind = "hide" if dice.random() < 0.03 else "view"
                rows.append((f"e{len(rows):05}", f"u{user:02}", items[number][0], kind, moment))
    features = home / "features"
    features.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TABLE event "
            "(event_id VARCHAR, user_id VARCHAR, item_id VARCHAR, event_type VARCHAR, moment TIMESTAMPTZ)"
        )
        connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE TABLE item (item_id VARCHAR, title VARCHAR, topic VARCHAR, attributes VARCHAR)")
        connection.executemany(
            "INSERT INTO item VALUES (?, ?, ?, ?)",
            [(item, f"{words[topic]} {topic} {number}", topic, json.dumps({})) for item, topic, number in items],
        )
        for name, query in _MART_QUERIES.items():
            connection.execute(f"COPY ({query}) TO '{features}/{name}.parquet' (FORMAT parquet)")


_COUNTS = """
    SELECT p.{key}, p.day::DATE AS {day}, (p.day + INTERVAL 1 DAY)::TIMESTAMPTZ AS event_timestamp,
        count(*) FILTER (e.moment::DATE = p.day) AS n_interactions_1d,
        count(*) FILTER (e.moment::DATE > p.day - INTERVAL 7 DAY) AS n_interactions_7d,
        count(*) FILTER (e.moment::DATE > p.day - INTERVAL 30 DAY) AS n_interactions_30d,
        count(*) AS n_interactions_total,
        count(DISTINCT e.moment::DATE) AS n_active_days, max(e.moment) AS last_interaction_at
    FROM (SELECT DISTINCT {key}, moment::DATE + o AS day FROM event, (VALUES (0), (1), (7), (30)) AS v (o)) p
    JOIN event e ON e.{key} = p.{key} AND e.moment::DATE <= p.day
    WHERE e.event_type <> 'hide'
    GROUP BY ALL ORDER BY ALL
"""
_MART_QUERIES = {
    "dim_item_versions": """
        SELECT item_id, title, NULL::VARCHAR AS description, [topic] AS categories, []::VARCHAR[] AS tags,
            NULL::DOUBLE AS price, NULL::VARCHAR AS image_url, attributes, NULL::TIMESTAMPTZ AS available_from,
            true AS is_available, TIMESTAMPTZ '2025-12-01' AS updated_at, TIMESTAMPTZ '2025-12-01' AS valid_from,
            NULL::TIMESTAMPTZ AS valid_to
        FROM item ORDER BY item_id
    """,
    "fct_item_tags": """
        SELECT 't' || event_id AS event_id, item_id, user_id, 'loved' AS tag,
            moment AS occurred_at, moment AS received_at
        FROM event WHERE event_id LIKE '%99'
    """,
    "fct_training_sequences": """
        SELECT user_id, count(*)::INTEGER AS n_events,
            list(item_id ORDER BY moment, event_id) AS item_ids,
            list(event_type ORDER BY moment, event_id) AS event_types,
            list(NULL::DOUBLE ORDER BY moment, event_id) AS event_values,
            list(moment ORDER BY moment, event_id) AS occurred_at,
            list(moment ORDER BY moment, event_id) AS received_at
        FROM event GROUP BY user_id ORDER BY user_id
    """,
    "fct_item_popularity_daily": _COUNTS.format(key="item_id", day="popularity_date").replace(
        "count(DISTINCT e.moment::DATE) AS n_active_days, max(e.moment) AS last_interaction_at", ""
    ),
    "fct_user_activity_daily": _COUNTS.format(key="user_id", day="activity_date"),
    "fct_user_recent_events": """
        SELECT user_id, max(moment) AS event_timestamp,
            list(event_id ORDER BY moment, event_id) AS recent_event_ids,
            list(item_id ORDER BY moment, event_id) AS recent_item_ids,
            list(event_type ORDER BY moment, event_id) AS recent_event_types,
            list(NULL::DOUBLE ORDER BY moment, event_id) AS recent_values,
            list(epoch_us(moment) ORDER BY moment, event_id) AS recent_occurred_at,
            list_sort(list(DISTINCT item_id)) AS seen_item_ids
        FROM event GROUP BY user_id ORDER BY user_id
    """,
}


@pytest.fixture(scope="session")
def world(world_home: Path):
    """The marts of that world."""
    from training.dataset import read_marts

    return read_marts(world_home / "features")


@pytest.fixture(scope="session")
def word_vectors():
    """Vectors of texts in which equal topics are alike, without a language model: its own tests are elsewhere."""
    import numpy as np

    def encode(texts: list[str]) -> np.ndarray:
        topics = ("cooking", "space", "garden", "music")
        noise = np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32) * 0.2
        for row, text in enumerate(texts):
            noise[row, [topic in text for topic in topics].index(True)] += 1
        return noise / np.linalg.norm(noise, axis=1, keepdims=True)

    return encode
