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


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of forty items with random, but readable, likings: text and item-item heads, no sequence head."""
    import numpy as np
    import pyarrow as pa

    from training.blend import REGIMES
    from training.bundle import write_bundle
    from training.history import Recency
    from training.llm_recommender import HEADS, LLMRecommender
    from training.neighbours import Neighbours

    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likings = generator.normal(size=(40, 40)).astype(np.float32)
    weights = np.zeros((len(REGIMES), len(HEADS)), dtype=np.float32)
    weights[:, [HEADS.index("item_item"), HEADS.index("text"), HEADS.index("trend_all")]] = [1.0, 0.5, 0.1]
    recommender = LLMRecommender(
        item_ids=[f"item-{number}" for number in range(40)],
        item_vectors=vectors,
        popularity=generator.integers(0, 100, size=(40, 4)).astype(np.float32),
        item_item=Neighbours.strongest(likings, 10),
        transitions=Neighbours.strongest(likings.T.copy(), 10),
        sequence=None,
        weights=weights,
        recency=Recency(),
        gate=(0.5,) * len(REGIMES),
    )
    folder = tmp_path_factory.mktemp("small") / "bundle"
    write_bundle(
        folder,
        recommender,
        pa.table({"item_id": recommender.item_ids, "title": [f"Item {number}" for number in range(40)]}),
        text_encoder={"name": "minilm"},
        data={"hash": "abc", "until_us": 1_700_000_000_000_000},
        config={"seed": 0},
        created_from={},
    )
    return folder
