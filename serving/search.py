"""Items by words, for somebody or for anybody."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from nearline.session_features import UserState
from serving.filters import ItemFilter
from serving.recommender import Recommender
from serving.schemas import SearchResults
from serving.wishes import Wish


@dataclass(frozen=True)
class Search:
    """The scenario of that name, which knows no seen items and needs no user."""

    recommender: Recommender

    def search(
        self, query: str, n: int, user_id: str | None = None, item_filter: ItemFilter | None = None
    ) -> SearchResults:
        """The n items that suit the words best. Only somebody's list has an id: an impression is a user's."""
        wish = Wish(self.recommender.scenarios["search"], query, item_filter)
        if user_id is not None:
            answer = self.recommender.recommend(user_id, n, wish=wish)
            return SearchResults(**{name: getattr(answer, name) for name in SearchResults.model_fields})
        started, snapshot = time.perf_counter(), self.recommender.current.snapshot
        plan = wish.on(snapshot)
        items = self.recommender.ranked(snapshot, UserState(""), n, frozenset(), datetime.now(UTC), plan)
        return SearchResults(
            recommendation_id=None,
            user_id=None,
            items=items,
            understood=plan.understood,
            model=snapshot.model.ref if snapshot.model else None,
            degraded=self.recommender.degraded(snapshot, plan.missing),
            took_ms=round((time.perf_counter() - started) * 1_000, 3),
        )
