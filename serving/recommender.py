"""A user's features and a snapshot → a list with reasons. Knows no HTTP; a test or a benchmark calls it directly."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from uuid6 import uuid7

from ingestion.event_log import EventLog
from nearline.session_features import UserState
from nearline.tracing import NO_TRACES, Traces
from nearline.user_states import OnlineStoreError
from serving.current_snapshot import CurrentSnapshot
from serving.impressions import ImpressionLogger
from serving.kept_lists import KeptLists
from serving.metrics import Metrics
from serving.online_features import OnlineFeatures
from serving.scenarios import Scenarios
from serving.schemas import Recommendations, RecommendedItem
from serving.snapshot import Snapshot
from serving.wishes import PLAIN, Plan, Wish

FRESHNESS_WAIT_SECONDS = 1.0
"""How long an answer waits for the events that its caller wants reflected; usually it is milliseconds."""


class UnknownTokenError(ValueError):
    """A freshness token that this log never gave out."""


@dataclass(frozen=True)
class Recommender:
    """Reads the user's features, ranks with the current snapshot, and logs what it showed."""

    features: OnlineFeatures
    current: CurrentSnapshot
    impressions: ImpressionLogger
    metrics: Metrics
    log: EventLog
    wait_until: Callable[[int, float], bool]
    registry_fault: Callable[[], str | None]
    scenarios: Scenarios
    traces: Traces = NO_TRACES
    kept: KeptLists = field(default_factory=KeptLists)

    def recommend(
        self,
        user_id: str,
        n: int,
        exclude_item_ids: Collection[str] = (),
        min_freshness_token: str | None = None,
        wish: Wish = PLAIN,
    ) -> Recommendations:
        """The n items this user is most likely to want next, or that suit a wish. Raises UnknownTokenError."""
        with self.traces.span("recommend", {"freshet.n": n}) as span:
            answer = self._recommend(user_id, n, exclude_item_ids, min_freshness_token, wish)
            span.set_attribute("freshet.recommendation_id", answer.recommendation_id)
            span.set_attribute("freshet.features_as_of", str(answer.features_as_of))
            span.set_attribute("freshet.degraded", answer.degraded)
        return answer

    def _recommend(
        self, user_id: str, n: int, exclude_item_ids: Collection[str], min_freshness_token: str | None, wish: Wish
    ) -> Recommendations:
        started = time.perf_counter()
        stale = self._wait_for(min_freshness_token)
        with self.traces.span("read features"):
            state, store_missing = self.state_of(user_id)
        snapshot = self.current.snapshot
        now = datetime.now(UTC)
        plan = wish.on(snapshot)
        items = self.ranked(snapshot, state, n, frozenset(exclude_item_ids), now, plan)
        answer = Recommendations(
            recommendation_id=str(uuid7()),
            user_id=user_id,
            items=items,
            model=snapshot.model.ref if snapshot.model else None,
            features_as_of=state.known_at,
            degraded=self.degraded(snapshot, stale | store_missing | plan.missing),
            understood=plan.understood,
            took_ms=round((time.perf_counter() - started) * 1_000, 3),
        )
        self.impressions.record(answer, now)
        return answer

    def ranked(
        self, snapshot: Snapshot, state: UserState, n: int, excluded: frozenset[str], now: datetime, plan: Plan
    ) -> list[RecommendedItem]:
        """The list for one user, made now or a moment before; counted."""
        with self.traces.span("rank") as span:
            items, was_kept = self.kept.rank(snapshot, state, n, excluded, now, plan)
            span.set_attribute("freshet.kept", was_kept)
        self.metrics.lists.labels("kept" if was_kept else "made").inc()
        return items

    def degraded(self, snapshot: Snapshot, missing: set[str]) -> list[str]:
        """Count and name what an answer from this snapshot has to do without."""
        return self._note_degraded(missing | self._missing(snapshot))

    def has_to_wait(self, token: str | None) -> bool:
        """Whether ``recommend`` would wait for events, or ask the log about them."""
        return token is not None and not self.wait_until(int(token), 0)

    def _wait_for(self, token: str | None) -> set[str]:
        if token is None or not self.has_to_wait(token):
            return set()
        newest = self.log.last_sequence()
        if int(token) > newest:
            raise UnknownTokenError(f"min_freshness_token {token!r} was never given out: the newest is {newest}")
        return set() if self.wait_until(int(token), FRESHNESS_WAIT_SECONDS) else {"freshness"}

    def state_of(self, user_id: str) -> tuple[UserState, set[str]]:
        """The user's state, empty when the online store cannot be read; and then what is missing."""
        try:
            return self.features.state(user_id), set()
        except OnlineStoreError:
            return UserState(user_id), {"online_store"}

    def _missing(self, snapshot: Snapshot) -> set[str]:
        missing = set(snapshot.missing)
        if snapshot.model is None:
            missing.add("model")
        if self.registry_fault() is not None:
            missing.add("registry")
        if self.impressions.is_dropping:
            missing.add("event_log")
        return missing

    def _note_degraded(self, missing: set[str]) -> list[str]:
        for part in missing:
            self.metrics.fallbacks.labels(part).inc()
        return sorted(missing)
