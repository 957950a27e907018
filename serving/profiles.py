"""What the platform believes about a user, and from which events."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from nearline.session_features import RecentEvent, UserState, current_session, from_us
from nearline.user_states import OnlineStoreError
from serving.catalogue import Catalogue
from serving.current_snapshot import CurrentSnapshot
from serving.online_features import OnlineFeatures, UserFeatures
from serving.schemas import CategoryShare, Profile, ProfileEvent

MAX_INTERESTS: Final = 10
_INTEREST_DECAY: Final = 0.95
"""What an event counts beside the one after it."""


@dataclass(frozen=True)
class Profiles:
    """Describes users from the same row that ranking reads."""

    features: OnlineFeatures
    current: CurrentSnapshot

    def profile(self, user_id: str) -> Profile:
        """One user; a user nobody has met has an empty profile, not an error."""
        try:
            found, degraded = self.features.user(user_id), []
        except OnlineStoreError:
            found, degraded = UserFeatures(UserState(user_id), None), ["online_store"]
        state, catalogue = found.state, self.current.snapshot.catalogue
        return Profile(
            user_id=user_id,
            is_known=state.known_at is not None,
            n_seen_items=len(state.seen),
            n_events_in_session=len(current_session(state.recent)),
            interests=interests(state, catalogue),
            disliked_item_ids=sorted({event.item_id for event in state.recent if event.is_negative}),
            activity=found.activity,
            recent_events=[_shown(event, catalogue) for event in reversed(state.recent)],
            features_as_of=state.known_at,
            degraded=degraded,
        )


def interests(state: UserState, catalogue: Catalogue) -> list[CategoryShare]:
    """Shares of the categories of recent positive events, newer events counting more."""
    weights: defaultdict[str, float] = defaultdict(float)
    liked = [event for event in state.recent if not event.is_negative]
    for age, event in enumerate(reversed(liked)):
        categories = catalogue.get(event.item_id).categories
        for category in categories:
            weights[category] += _INTEREST_DECAY**age / len(categories)
    total = sum(weights.values())
    return [
        CategoryShare(category=category, share=round(weight / total, 4))
        for category, weight in sorted(weights.items(), key=lambda found: (-found[1], found[0]))[:MAX_INTERESTS]
    ]


def _shown(event: RecentEvent, catalogue: Catalogue) -> ProfileEvent:
    return ProfileEvent(
        event_id=event.event_id,
        event_type=event.event_type,
        item_id=event.item_id,
        title=catalogue.get(event.item_id).title,
        value=event.value,
        occurred_at=from_us(event.occurred_at_us),
    )
