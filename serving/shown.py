"""What earlier answers showed, from the event log, where every line of them is an impression."""

import time
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from freshet.contract import Event, is_erased
from ingestion.event_log import EventLog
from serving.current_snapshot import CurrentSnapshot
from serving.impressions import impression_id
from serving.problems import ProblemError
from serving.rules import MAX_LIST_LENGTH
from serving.schemas import ShownItem, ShownRecommendations

_ON_ITS_WAY_SECONDS: Final = 2.0
"""How old an answer may be whose impressions are still being written."""
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True)
class ShownLists:
    """Finds the lines of an answer by the ids that derive from its own."""

    log: EventLog
    current: CurrentSnapshot

    def shown(self, recommendation_id: UUID) -> ShownRecommendations:
        """What one answer showed. Raises a 404 ProblemError if there was no such answer, or nothing on it."""
        event_ids = [impression_id(str(recommendation_id), rank) for rank in range(1, MAX_LIST_LENGTH + 1)]
        while not (events := self.log.find(event_ids)) and _is_on_its_way(recommendation_id):
            time.sleep(_LOOK_SECONDS)
        if not events or is_erased(events[0], self.log.erasures([events[0].user_id]).get(events[0].user_id)):
            raise ProblemError(
                404, f"no list {recommendation_id} was shown: check the id; it was empty, or its user is erased"
            )
        properties: dict[str, Any] = events[0].properties
        return ShownRecommendations(
            recommendation_id=str(recommendation_id),
            user_id=events[0].user_id,
            shown_at=events[0].occurred_at,
            model_version=properties.get("model_version"),
            items=[self._item(event) for event in events],
        )

    def _item(self, event: Event) -> ShownItem:
        noted: dict[str, Any] = event.properties
        return ShownItem(
            item_id=event.item_id or "",
            rank=noted["rank"],
            score=noted.get("score"),
            source=noted["source"],
            reason=noted.get("reason"),
            propensity=noted["propensity"],
            title=self.current.snapshot.catalogue.get(event.item_id or "").title,
        )


def _is_on_its_way(recommendation_id: UUID) -> bool:
    """Whether this can be the id of an answer of a moment ago: its first 48 bits are milliseconds."""
    age = time.time() - (recommendation_id.int >> 80) / 1_000
    return recommendation_id.version == 7 and 0 <= age < _ON_ITS_WAY_SECONDS
