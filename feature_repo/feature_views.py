"""What is known about users and items as of a moment: the marts, by their names without the prefix.

Fields are derived from the marts' contracts. What a mart has is served, so a feature is added in dbt alone.
"""

from datetime import timedelta

from data_sources import item_popularity_daily_mart, user_activity_daily_mart, user_recent_events_push
from entities import item, user
from feast import FeatureView
from mart_contracts import description_of, fields_of

# In every mart here the newest row up to a moment holds until the next one, however old it is.
HOLDS_UNTIL_REPLACED = timedelta(0)

user_recent_events = FeatureView(
    name="user_recent_events",
    entities=[user],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=fields_of("fct_user_recent_events", grain=["user_id"]),
    source=user_recent_events_push,
    tags={"online_write": "merge"},  # a batch row and a pushed one may each know events that the other does not
    description=description_of("fct_user_recent_events"),
    owner="features",
)

user_activity_daily = FeatureView(
    name="user_activity_daily",
    entities=[user],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=fields_of("fct_user_activity_daily", grain=["user_id", "activity_date"]),
    source=user_activity_daily_mart,
    description=description_of("fct_user_activity_daily"),
    owner="features",
)

item_popularity_daily = FeatureView(
    name="item_popularity_daily",
    entities=[item],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=fields_of("fct_item_popularity_daily", grain=["item_id", "popularity_date"]),
    source=item_popularity_daily_mart,
    description=description_of("fct_item_popularity_daily"),
    owner="features",
)
