"""What consumers ask for by name. A service never changes: another set of features is a new version beside it."""

from feast import FeatureService
from feature_views import item_popularity_daily, user_activity_daily, user_recent_events

recommender_v1 = FeatureService(
    name="recommender_v1",
    features=[user_recent_events, user_activity_daily],
    description="What one request needs to know about its user, as of now.",
    owner="models",
)

user_history_v1 = FeatureService(
    name="user_history_v1",
    features=[user_activity_daily],
    description="What can be asked about a user as of any past moment; evaluation slices by it.",
    owner="models",
)

catalogue_v1 = FeatureService(
    name="catalogue_v1",
    features=[item_popularity_daily],
    description="The popularity of every item, read in the background by serving.",
    owner="models",
)
