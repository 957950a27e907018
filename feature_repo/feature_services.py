"""What consumers ask for by name. A service never changes: another set of features is a new version beside it.

So the features of a service are listed, while a view has whatever its mart has. Whoever explores gets all of it.
"""

from feast import FeatureService
from feature_views import (
    item_popularity_daily,
    item_statistics,
    user_activity_daily,
    user_profiles,
    user_recent_events,
)

STATE = [
    "recent_event_ids",
    "recent_item_ids",
    "recent_event_types",
    "recent_values",
    "recent_occurred_at",
    "seen_item_ids",
]
COUNTS = ["n_interactions_1d", "n_interactions_7d", "n_interactions_30d", "n_interactions_total"]
ACTIVITY = [*COUNTS, "n_active_days", "last_interaction_at"]

recommender_v1 = FeatureService(
    name="recommender_v1",
    features=[user_recent_events[STATE], user_activity_daily[ACTIVITY]],
    description="What one request needs to know about its user, as of now.",
    owner="models",
)

user_history_v1 = FeatureService(
    name="user_history_v1",
    features=[user_activity_daily[ACTIVITY]],
    description="What can be asked about a user as of any past moment; evaluation slices by it.",
    owner="models",
)

catalogue_v1 = FeatureService(
    name="catalogue_v1",
    features=[item_popularity_daily[COUNTS]],
    description="The popularity of every item, read in the background by serving.",
    owner="models",
)

user_exploration_v1 = FeatureService(
    name="user_exploration_v1",
    features=[user_profiles],
    description="Who users are in the long term, for notebooks and new models; offline only.",
    owner="models",
)

item_exploration_v1 = FeatureService(
    name="item_exploration_v1",
    features=[item_statistics],
    description="How items do, for notebooks and new models; offline only.",
    owner="models",
)
