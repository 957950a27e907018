with events as (

    select * from {{ ref("stg_lake__events") }}

),

-- The lake holds an event once per ingestion; should two ingestions both have accepted it, the first arrival counts.
first_arrivals as (

    select
        *,
        greatest(occurred_at, received_at) as known_at
    from events
    qualify row_number() over (
        partition by event_id order by received_at, source, source_file, source_line
    ) = 1

)

select * from first_arrivals
