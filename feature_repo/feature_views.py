"""What is known about users and items as of a moment: the marts, by their names without the prefix.

Fields are derived from the marts' contracts, so a feature is added in dbt alone; a service says who is given it.
"""

from datetime import timedelta

from data_sources import (
    item_popularity_daily_mart,
    item_statistics_mart,
    user_activity_daily_mart,
    user_profiles_mart,
    user_recent_events_push,
)
from entities import item, user
from feast import FeatureView
from mart_contracts import description_of, fields_of

# In every mart here the newest row up to a moment holds until the next one, however old it is.
HOLDS_UNTIL_REPLACED = timedelta(0)

user_recent_events = FeatureView(
    name="user_recent_events",
    entities=[user],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=fields_of("fct_user_recent_events"),
    source=user_recent_events_push,
    tags={"online_write": "merge"},  # a batch row and a pushed one may each know events that the other does not
    description=description_of("fct_user_recent_events"),
    owner="features",
)

user_activity_daily = FeatureView(
    name="user_activity_daily",
    entities=[user],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=fields_of("fct_user_activity_daily", day="activity_date"),
    source=user_activity_daily_mart,
    description=description_of("fct_user_activity_daily"),
    owner="features",
)

item_popularity_daily = FeatureView(
    name="item_popularity_daily",
    entities=[item],
    ttl=HOLDS_UNTIL_REPLACED,
    schema=fields_of("fct_item_popularity_daily", day="popularity_date"),
    source=item_popularity_daily_mart,
    description=description_of("fct_item_popularity_daily"),
    owner="features",
)

user_profiles = FeatureView(
    name="user_profiles",
    entities=[user],
    ttl=HOLDS_UNTIL_REPLACED,
    online=False,  # nothing asks for it while a request waits, so no batch fills the online store with it
    schema=fields_of("fct_user_profiles"),
    source=user_profiles_mart,
    description=description_of("fct_user_profiles"),
    owner="features",
)

item_statistics = FeatureView(
    name="item_statistics",
    entities=[item],
    ttl=HOLDS_UNTIL_REPLACED,
    online=False,  # nothing asks for it while a request waits, so no batch fills the online store with it
    schema=fields_of("fct_item_statistics"),
    source=item_statistics_mart,
    description=description_of("fct_item_statistics"),
    owner="features",
)
