{{ config(materialized="incremental", unique_key="user_id") }}

with interactions as (

    select * from {{ ref("fct_interactions") }}
    {{ of_users_with_news() }}

),

records_per_user as (

    select
        user_id,
        cast(count(*) as integer) as n_events,
        {{ sorted_records({
            "occurred_at": "occurred_at",
            "event_id": "event_id",
            "item_id": "item_id",
            "event_type": "event_type",
            "event_value": "value",
            "received_at": "received_at",
        }) }} as records
    from interactions
    group by user_id

),

sequences as (

    select
        records_per_user.user_id,
        records_per_user.n_events,
        {{ field_of_records("records_per_user.records", "item_id") }} as item_ids,
        {{ field_of_records("records_per_user.records", "event_type") }} as event_types,
        {{ field_of_records("records_per_user.records", "event_value") }} as event_values,
        {{ field_of_records("records_per_user.records", "occurred_at") }} as occurred_at,
        {{ field_of_records("records_per_user.records", "received_at") }} as received_at
    from records_per_user

)

select * from sequences
