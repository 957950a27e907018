"""Where features come from: the marts that dbt exports, and what the nearline worker pushes between batches."""

import os
from pathlib import Path

from feast import FileSource, PushSource

EXPORTS = Path(os.environ["FRESHET_HOME"]).resolve() / "features"

user_recent_events_mart = FileSource(
    name="fct_user_recent_events",
    path=str(EXPORTS / "fct_user_recent_events.parquet"),
    timestamp_field="event_timestamp",
    description="dbt mart: each user's packed state as of now.",
    owner="data",
)

user_recent_events_push = PushSource(
    name="user_recent_events_push",
    batch_source=user_recent_events_mart,
    description="The same state, folded and pushed by the nearline worker within milliseconds of an event.",
    owner="features",
)

user_activity_daily_mart = FileSource(
    name="fct_user_activity_daily",
    path=str(EXPORTS / "fct_user_activity_daily.parquet"),
    timestamp_field="event_timestamp",
    description="dbt mart: how much each user did within 1, 7, 30 days and ever.",
    owner="data",
)

item_popularity_daily_mart = FileSource(
    name="fct_item_popularity_daily",
    path=str(EXPORTS / "fct_item_popularity_daily.parquet"),
    timestamp_field="event_timestamp",
    description="dbt mart: how often each item was met within 1, 7, 30 days and ever.",
    owner="data",
)
