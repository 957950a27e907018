with events as (

    select * from {{ ref("int_events_deduplicated") }}

),

interactions as (

    select
        *,
        event_type in {{ literals(var("negative_types")) }} as is_negative,
        lag(occurred_at) over (partition by user_id order by occurred_at, event_id) as previous_occurred_at
    from events
    where event_type in {{ literals(var("interaction_types")) }}

),

sessionized as (

    select
        *,
        1 + sum(
            case
                when occurred_at > {{ plus_minutes("previous_occurred_at", var("session_gap_minutes")) }} then 1
                else 0
            end
        ) over (
            partition by user_id order by occurred_at, event_id rows between unbounded preceding and current row
        ) as session_number
    from interactions

)

select * from sessionized
