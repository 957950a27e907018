{{ config(materialized="incremental", unique_key="user_id") }}

with new_interactions as (

    select * from {{ ref("fct_interactions") }}
    where {{ is_new() }}

),

new_states as (

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
        {{ sorted_distinct("item_id") }} as seen_item_ids
    from new_interactions
    group by user_id

),

states_to_merge as (

    select * from new_states

    {% if is_incremental() %}
        union all

        select
            known.user_id,
            known.event_timestamp,
            {{ records_of_lists({
                "occurred_at": "known.recent_occurred_at",
                "event_id": "known.recent_event_ids",
                "item_id": "known.recent_item_ids",
                "event_type": "known.recent_event_types",
                "event_value": "known.recent_values",
            }) }} as records,
            known.seen_item_ids
        from {{ this }} as known
        inner join new_states on known.user_id = new_states.user_id
    {% endif %}

),

merged_states as (

    {% if is_incremental() -%}
        select
            user_id,
            max(event_timestamp) as event_timestamp,
            {{ sorted_union("records") }} as records,
            {{ sorted_union("seen_item_ids") }} as seen_item_ids
        from states_to_merge
        group by user_id
    {%- else -%}
        select * from states_to_merge
    {%- endif %}

),

newest_records as (

    select
        user_id,
        event_timestamp,
        {{ last_records("records", var("max_recent_events")) }} as records,
        seen_item_ids
    from merged_states

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
