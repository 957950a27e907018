"""The recommender as an MLflow pyfunc: what ``mlflow models serve --env-manager local`` answers with.

MLflow stores this file beside the bundle and runs it to build the model ("models from code"), hence the call at its
end. It needs Freshet installed, and holds only the way from a request to the bundle. One row of a request is one user:

    item_ids      what the user met, oldest first; unknown items are ignored, known ones are not recommended again
    occurred_at   optional, when each of them was met (ISO 8601); without it, all within the current session
    n             optional, length of the list, 1 to 1,000, by default 10; in all rows of a request or in none
    user_id       optional, for the caller's own records
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.models
import numpy as np
import pandas as pd
from mlflow.models.signature import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types.schema import Array, ColSpec, DataType, Schema

from freshet.contract import MAX_RECENT_EVENTS
from training.bundle import ITEMS, Bundle, load_bundle
from training.history import History

if TYPE_CHECKING:
    from pyarrow import Table

DEFAULT_N = 10
MAX_N = 1_000
_PACKAGES = ("mlflow", "numpy", "onnxruntime", "pandas", "pyarrow", "safetensors", "scipy")
_SECOND_US = 1_000_000


class RecommenderModel(PythonModel):
    """Loads the bundle once, then answers rows of requests."""

    def load_context(self, context: PythonModelContext) -> None:
        """Verify and load the bundle that lies beside the model."""
        self._bundle = load_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One ranked list per row: ``item_ids`` and their ``scores``, best first."""
        return pd.DataFrame([self._answer(row) for row in model_input.to_dict("records")])

    def _answer(self, row: dict[str, Any]) -> dict[str, Any]:
        times = _given(row.get("occurred_at"))
        n = _given(row.get("n"))
        ranked = recommend(
            self._bundle,
            [str(item_id) for item_id in row["item_ids"]],
            None if times is None else [_micros(moment) for moment in times],
            n=DEFAULT_N if n is None else int(n),
        )
        return {"item_ids": [item_id for item_id, _ in ranked], "scores": [score for _, score in ranked]}


def recommend(
    bundle: Bundle, item_ids: Sequence[str], occurred_at_us: Sequence[int] | None = None, *, n: int = DEFAULT_N
) -> list[tuple[str, float]]:
    """The ``n`` best items the user has not met, and their scores; asked at the moment of the newest event.

    Popularity is the bundle's own snapshot: without an online store there is no fresher one.
    """
    if not 1 <= n <= MAX_N:
        raise ValueError(f"n is {n}: ask for 1 to {MAX_N} items")
    trained_until = int(bundle.manifest.data.get("until_us", 0))
    if occurred_at_us is None:
        occurred_at_us = [trained_until - (len(item_ids) - 1 - age) * _SECOND_US for age in range(len(item_ids))]
    if len(occurred_at_us) != len(item_ids):
        raise ValueError(f"occurred_at has {len(occurred_at_us)} moments for {len(item_ids)} item_ids")
    recommender = bundle.recommender
    index_of = {item_id: index for index, item_id in enumerate(recommender.item_ids)}
    met = [(moment, index_of[i]) for i, moment in zip(item_ids, occurred_at_us, strict=True) if i in index_of]
    met.sort(key=lambda pair: pair[0])
    newest = met[-MAX_RECENT_EVENTS:]  # as in the packed state that serving reads
    history = History(
        np.array([index for _, index in newest], dtype=np.int32), np.array([at for at, _ in newest], dtype=np.int64)
    )
    scores = recommender.score(history, max([trained_until, *occurred_at_us]), None).astype(np.float64)
    scores[[index for _, index in met]] = -np.inf
    best = np.argsort(-scores, kind="stable")[:n]
    return [(recommender.item_ids[index], float(scores[index])) for index in best if np.isfinite(scores[index])]


def signature() -> ModelSignature:
    """The columns of a request and of an answer."""
    request = [
        ColSpec(Array(DataType.string), "item_ids"),
        ColSpec(Array(DataType.string), "occurred_at", required=False),
        ColSpec(DataType.long, "n", required=False),
        ColSpec(DataType.string, "user_id", required=False),
    ]
    answer = [ColSpec(Array(DataType.string), "item_ids"), ColSpec(Array(DataType.double), "scores")]
    return ModelSignature(Schema(request), Schema(answer))


def input_example(folder: Path) -> pd.DataFrame:
    """A request about the first items of a bundle."""
    import pyarrow.parquet

    items: Table = pyarrow.parquet.read_table(folder / ITEMS, columns=["item_id"])
    return pd.DataFrame([{"item_ids": items.column("item_id").to_pylist()[:3], "n": 5}])


def requirements() -> list[str]:
    """What the environment of a model server needs beside Freshet itself, in the versions of training."""
    return [f"{package}=={version(package)}" for package in _PACKAGES]


def _given(value: Any) -> Any:
    """None for a column that MLflow filled with a missing value."""
    return None if value is None or (isinstance(value, float) and np.isnan(value)) else value


def _micros(moment: str) -> int:
    parsed = datetime.fromisoformat(moment)
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1e6)


mlflow.models.set_model(RecommenderModel())
