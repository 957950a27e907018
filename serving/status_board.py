"""What the front page shows: the platform's state, and how this process has answered since it started.

Looking takes a moment and asks other servers, so a thread of its own does it, one at a time, and only while somebody
looks; a request gets what was seen last and never waits.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.samples import Sample
from pydantic import TypeAdapter

from freshet.settings import Settings
from serving.metrics import Metrics
from serving.platform_status import AIRFLOW, MLFLOW, PlatformStatus, platform_status
from serving.runtime import Runtime
from serving.schemas import Readiness

KEEP_SECONDS: Final = 5.0
"""How long a look is new enough."""
LIST_ROUTES: Final = frozenset(
    {
        "/v1/recommendations",
        "/v1/search",
        "/v1/users/{user_id}/recommendations",
        "/v1/items/{item_id}/similar",
    }
)


@dataclass(frozen=True)
class Answers:
    """Lists that this process has answered."""

    n_answers: int
    median_ms: float | None
    p99_ms: float | None
    by_latency: tuple[tuple[float | None, int], ...]
    """Upper bound in milliseconds, None for the last, and how many took no longer but longer than the one before."""
    degraded: Mapping[str, int]
    """Answers that had to do without a part, by the part's name; one that lacked two counts for both."""


@dataclass(frozen=True)
class Board:
    """One look."""

    serving_since: datetime
    readiness: Readiness
    answers: Answers
    platform: PlatformStatus


_AS_JSON: Final = TypeAdapter(Board)


class StatusBoard:
    """The newest look as JSON; ``newest`` is called from the event loop alone."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is looked at before somebody asks."""
        self._settings, self._since = settings, datetime.now(UTC)
        self._looking: threading.Thread | None = None
        self._seen: tuple[float, bytes] | None = None

    def newest(self, runtime: Runtime) -> tuple[bytes | None, bool]:
        """What was seen last, None before the first look has ended, and whether it is new enough; never waits."""
        seen = self._seen
        is_new = seen is not None and time.monotonic() - seen[0] < KEEP_SECONDS
        if not is_new and (self._looking is None or not self._looking.is_alive()):
            self._looking = threading.Thread(target=self._look, args=(runtime,), name="status-board", daemon=True)
            self._looking.start()
        return (seen[1] if seen else None), is_new

    def _look(self, runtime: Runtime) -> None:
        board = Board(
            serving_since=self._since,
            readiness=runtime.readiness(),
            answers=answers_of(runtime.metrics),
            platform=platform_status(self._settings, (MLFLOW, AIRFLOW)),
        )
        self._seen = time.monotonic(), _AS_JSON.dump_json(board)


def answers_of(metrics: Metrics) -> Answers:
    """Read from the metrics that /metrics shows."""
    up_to: dict[float, float] = {}
    for sample in _samples(metrics.request_seconds, "_bucket"):
        if sample.labels["route"] in LIST_ROUTES:
            bound = float(sample.labels["le"])
            up_to[bound] = up_to.get(bound, 0.0) + sample.value
    bounds = sorted(up_to)
    counts = [int(later - earlier) for earlier, later in pairwise([0.0, *(up_to[bound] for bound in bounds)])]
    degraded = {sample.labels["missing"]: int(sample.value) for sample in _samples(metrics.fallbacks, "_total")}
    milliseconds = [None if bound == float("inf") else 1_000 * bound for bound in bounds]
    return Answers(
        n_answers=sum(counts),
        median_ms=quantile(milliseconds, counts, 0.5),
        p99_ms=quantile(milliseconds, counts, 0.99),
        by_latency=tuple(zip(milliseconds, counts, strict=True)),
        degraded=degraded,
    )


def quantile(bounds: Sequence[float | None], counts: Sequence[int], share: float) -> float | None:
    """Within a bucket by proportion, as Prometheus does it; in the last, open one its lower bound. None of nothing."""
    wanted, below = share * sum(counts), 0
    lower = 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count and below + count >= wanted:
            return lower if bound is None else lower + (bound - lower) * (wanted - below) / count
        below += count
        lower = lower if bound is None else bound
    return None


def _samples(metric: Counter | Histogram, end: str) -> list[Sample]:
    return [sample for family in metric.collect() for sample in family.samples if sample.name.endswith(end)]
