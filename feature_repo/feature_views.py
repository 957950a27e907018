"""What is known about users and items as of a moment. The marts behind them are documented in the dbt docs."""

from datetime import timedelta

from data_sources import item_popularity_daily_mart, user_activity_daily_mart, user_recent_events_push
from entities import item, user
from feast import FeatureView, Field
from feast.types import Array, Float64, Int64, String, UnixTimestamp

# In every mart here the newest row up to a moment holds until the next one, however old it is.
HOLDS_UNTIL_REPLACED = timedelta(0)

user_recent_events = FeatureView(
    name="user_recent_events",
    entities=[user],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=[
        Field(name="recent_event_ids", dtype=Array(String), description="The newest interactions, oldest first."),
        Field(name="recent_item_ids", dtype=Array(String), description="The item of each."),
        Field(name="recent_event_types", dtype=Array(String), description="The type of each."),
        Field(name="recent_values", dtype=Array(Float64), description="The number of each, NaN without one."),
        Field(name="recent_occurred_at", dtype=Array(Int64), description="When each happened, µs since 1970."),
        Field(name="seen_item_ids", dtype=Array(String), description="Every item ever met, sorted."),
    ],
    source=user_recent_events_push,
    tags={"online_write": "merge"},  # a batch row and a pushed one may each know events that the other does not
    description="The user's packed state as of now: filled from the mart, pushed after each interaction.",
    owner="features",
)

user_activity_daily = FeatureView(
    name="user_activity_daily",
    entities=[user],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=[
        Field(name="n_interactions_1d", dtype=Int64, description="Interactions on the last day."),
        Field(name="n_interactions_7d", dtype=Int64, description="Interactions within 7 days."),
        Field(name="n_interactions_30d", dtype=Int64, description="Interactions within 30 days."),
        Field(name="n_interactions_total", dtype=Int64, description="Interactions ever."),
        Field(name="n_active_days", dtype=Int64, description="Days with an interaction, ever."),
        Field(name="last_interaction_at", dtype=UnixTimestamp, description="When the newest known one happened."),
    ],
    source=user_activity_daily_mart,
    description="How much the user did, at the end of each day on which that changes.",
    owner="features",
)

item_popularity_daily = FeatureView(
    name="item_popularity_daily",
    entities=[item],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=[
        Field(name="n_interactions_1d", dtype=Int64, description="Interactions on the last day, negative ones apart."),
        Field(name="n_interactions_7d", dtype=Int64, description="Interactions within 7 days."),
        Field(name="n_interactions_30d", dtype=Int64, description="Interactions within 30 days."),
        Field(name="n_interactions_total", dtype=Int64, description="Interactions ever."),
    ],
    source=item_popularity_daily_mart,
    description="How often the item was met, at the end of each day on which that changes.",
    owner="features",
)
