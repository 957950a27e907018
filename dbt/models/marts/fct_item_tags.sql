with events as (

    select * from {{ ref("int_events") }}

),

tags as (

    select
        event_id,
        item_id,
        user_id,
        text as tag,
        occurred_at,
        received_at
    from events
    where event_type = 'tag'

)

select * from tags
