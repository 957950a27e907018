with interactions as (

    select
        *,
        {{ utc_date("known_at") }} as known_date
    from {{ ref("fct_interactions") }}

),

active_days as (

    select
        user_id,
        known_date as activity_date,
        max(known_at) as event_timestamp
    from interactions
    group by user_id, known_date

),

-- Once as many later interactions are known as the state has places, an interaction is certainly out of it. Without
-- this bound, every day would be joined to the whole past, and a long history would cost its square.
interactions_with_end as (

    select
        *,
        case
            when count(*) over later_interactions = {{ var("max_recent_events") }}
                then max(known_date) over later_interactions
        end as certainly_out_date
    from interactions
    window
        later_interactions as (
            partition by user_id order by occurred_at, event_id
            rows between 1 following and {{ var("max_recent_events") }} following
        )

),

records_per_day as (

    select
        active_days.user_id,
        active_days.activity_date,
        active_days.event_timestamp,
        {{ sorted_records({
            "occurred_at": microseconds("interactions_with_end.occurred_at"),
            "event_id": "interactions_with_end.event_id",
            "item_id": "interactions_with_end.item_id",
            "event_type": "interactions_with_end.event_type",
            "event_value": "interactions_with_end.value",
        }) }} as records
    from active_days
    inner join interactions_with_end
        on
            active_days.user_id = interactions_with_end.user_id
            and active_days.activity_date >= interactions_with_end.known_date
            and active_days.activity_date < coalesce(interactions_with_end.certainly_out_date, date '9999-12-31')
    group by active_days.user_id, active_days.activity_date, active_days.event_timestamp

),

newest_records as (

    select
        user_id,
        activity_date,
        event_timestamp,
        {{ last_records("records", var("max_recent_events")) }} as records
    from records_per_day

),

first_meetings as (

    select
        user_id,
        item_id,
        min(known_date) as met_date
    from interactions
    group by user_id, item_id

),

met_items as (

    select
        user_id,
        {{ sorted_records({"item_id": "item_id", "met_date": "met_date"}) }} as records
    from first_meetings
    group by user_id

),

states as (

    select
        newest_records.user_id,
        newest_records.activity_date,
        newest_records.event_timestamp,
        {{ field_of_records("newest_records.records", "event_id") }} as recent_event_ids,
        {{ field_of_records("newest_records.records", "item_id") }} as recent_item_ids,
        {{ field_of_records("newest_records.records", "event_type") }} as recent_event_types,
        {{ field_of_records("newest_records.records", "event_value") }} as recent_values,
        {{ field_of_records("newest_records.records", "occurred_at") }} as recent_occurred_at,
        {{ field_of_records(
            filtered_records("met_items.records", "record.met_date <= newest_records.activity_date"), "item_id"
        ) }} as seen_item_ids
    from newest_records
    inner join met_items on newest_records.user_id = met_items.user_id

)

select * from states
