"""The same lists from parts off the shelf: Feast's feature server, and the same bundle under ``mlflow models serve``.

It is the chain that one would put together first: read the user's features over HTTP, hand the history to the model
over HTTP. Nothing is filtered, explained or logged.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.serve_targets import Server, free_port, running
from benchmarks.serve_world import user_ids
from freshet.feature_definitions import FEATURE_REPO
from freshet.feature_store import RECOMMENDER_SERVICE
from freshet.settings import PREFIX, Settings
from training.registry import CHAMPION, MODEL_NAME

CONNECTIONS = 8


@contextmanager
def chain(home: Path) -> Iterator[tuple[Server, Server]]:
    """Feast's feature server and MLflow's model server over a home, on one worker each."""
    commands = Path(sys.executable).parent
    environment = {
        PREFIX + "HOME": str(home),
        "MLFLOW_TRACKING_URI": Settings(home=home).tracking_uri,
        "PATH": f"{commands}:{os.environ['PATH']}",  # MLflow starts uvicorn by its name
    }
    features, models = free_port(), free_port()
    feast = [str(commands / "feast"), "-c", str(FEATURE_REPO), "serve", "--port", str(features), "--no-access-log"]
    feast += ["--max-requests", "0"]  # by itself it ends its worker after a thousand, and closes every connection
    served = ["-m", f"models:/{MODEL_NAME}@{CHAMPION}", "--env-manager", "local", "--port", str(models)]
    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "--host", "127.0.0.1", *served]
    with (
        running(home / "feast-serve", "feast-serve", feast, features, "/health", environment) as feature_server,
        running(home / "mlflow-serve", "mlflow-serve", mlflow, models, "/health", environment) as model_server,
    ):
        yield feature_server, model_server


def lists_per_second(servers: tuple[Server, Server], seconds: float, n: int = 10) -> float:
    """In closed loop, every connection asking again as soon as it is answered."""
    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        counts = threads.map(lambda place: _ask_until(servers, began + seconds, place, n), range(CONNECTIONS))
        return sum(counts) / (time.perf_counter() - began)


def _ask_until(servers: tuple[Server, Server], end: float, place: int, n: int) -> int:
    features, model = (HTTPConnection("127.0.0.1", server.port, timeout=60) for server in servers)
    users, asked = user_ids()[place::CONNECTIONS], 0
    while time.perf_counter() < end:
        _list_of(features, model, users[asked % len(users)], n)
        asked += 1
    features.close()
    model.close()
    return asked


def _list_of(features: HTTPConnection, model: HTTPConnection, user: str, n: int) -> list[str]:
    wanted = {"feature_service": RECOMMENDER_SERVICE, "entities": {"user_id": [user]}}
    found = _post(features, "/get-online-features", wanted)
    columns = dict(zip(found["metadata"]["feature_names"], found["results"], strict=True))
    moments = [datetime.fromtimestamp(at / 1e6, UTC).isoformat() for at in columns["recent_occurred_at"]["values"][0]]
    row = {"item_ids": columns["recent_item_ids"]["values"][0], "occurred_at": moments, "n": n}
    (answer,) = _post(model, "/invocations", {"dataframe_records": [row]})["predictions"]
    if len(answer["item_ids"]) != n:
        raise RuntimeError(f"MLflow's server gave {len(answer['item_ids'])} items, and {n} were asked for")
    return list(answer["item_ids"])


def _post(connection: HTTPConnection, path: str, body: object) -> Any:
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {content[:300]!r}")
    return json.loads(content)
