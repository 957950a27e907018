{{ config(materialized="incremental", unique_key=["item_id", "popularity_date"]) }}

{{ window_counts("item_id", "popularity_date", condition="not is_negative") }}

select
    item_id,
    popularity_date,
    event_timestamp,
    n_interactions_1d,
    n_interactions_7d,
    n_interactions_30d,
    n_interactions_total
from counts_after_change
