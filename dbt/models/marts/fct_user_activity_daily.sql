{{ config(materialized="incremental", unique_key=["user_id", "activity_date"]) }}

{{ window_counts("user_id", "activity_date", has_active_days=true) }}

select
    user_id,
    activity_date,
    event_timestamp,
    n_interactions_1d,
    n_interactions_7d,
    n_interactions_30d,
    n_interactions_total,
    n_active_days,
    last_interaction_at
from counts_after_change
