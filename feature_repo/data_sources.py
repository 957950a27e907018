"""Where features come from: the marts that dbt exports, and what the nearline worker pushes between batches."""

import os
from pathlib import Path

from feast import FileSource, PushSource
from mart_contracts import KNOWN_AT, description_of

EXPORTS = Path(os.environ["FRESHET_HOME"]).resolve() / "features"


def _export(mart: str) -> FileSource:
    return FileSource(
        name=mart,
        path=str(EXPORTS / f"{mart}.parquet"),
        timestamp_field=KNOWN_AT,
        description=description_of(mart),
        owner="data",
    )


user_recent_events_mart = _export("fct_user_recent_events")
user_activity_daily_mart = _export("fct_user_activity_daily")
user_profiles_mart = _export("fct_user_profiles")
item_popularity_daily_mart = _export("fct_item_popularity_daily")
item_statistics_mart = _export("fct_item_statistics")

user_recent_events_push = PushSource(
    name="user_recent_events_push",
    batch_source=user_recent_events_mart,
    description="The same state, folded and pushed by the nearline worker within milliseconds of an event.",
    owner="features",
)
