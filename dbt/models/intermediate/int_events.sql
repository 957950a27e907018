with events as (

    select * from {{ ref("stg_lake__events") }}
    where event_type != 'erasure'

),

events_of_users as (

    select events.*
    from events
    where not {{ is_erased("events.user_id", "least(events.occurred_at, events.received_at)") }}

)

select * from events_of_users
