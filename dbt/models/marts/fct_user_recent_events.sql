{{ config(materialized="incremental", unique_key="user_id") }}

with interactions as (

    select * from {{ ref("fct_interactions") }}
    {{ of_users_with_news() }}

),

records_per_user as (

    select
        user_id,
        max(known_at) as event_timestamp,
        {{ sorted_records({
            "occurred_at": microseconds("occurred_at"),
            "event_id": "event_id",
            "item_id": "item_id",
            "event_type": "event_type",
            "event_value": "value",
        }) }} as records,
        list_sort(list(distinct item_id)) as seen_item_ids
    from interactions
    group by user_id

),

newest_records as (

    select
        user_id,
        event_timestamp,
        {{ last_records("records", var("max_recent_events")) }} as records,
        seen_item_ids
    from records_per_user

),

states as (

    select
        newest_records.user_id,
        newest_records.event_timestamp,
        {{ field_of_records("newest_records.records", "event_id") }} as recent_event_ids,
        {{ field_of_records("newest_records.records", "item_id") }} as recent_item_ids,
        {{ field_of_records("newest_records.records", "event_type") }} as recent_event_types,
        {{ field_of_records("newest_records.records", "event_value") }} as recent_values,
        {{ field_of_records("newest_records.records", "occurred_at") }} as recent_occurred_at,
        newest_records.seen_item_ids
    from newest_records

)

select * from states
