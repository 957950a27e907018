{{ config(materialized="incremental", unique_key=["source", "arrival_date"]) }}

with days_with_news as (

    select distinct
        source,
        {{ utc_date("received_at") }} as arrival_date
    from {{ ref("stg_lake__events") }}
    where {{ is_new() }}

),

arrivals as (

    select
        events.source,
        days_with_news.arrival_date,
        events.received_at,
        {{ utc_date("events.occurred_at") }} < days_with_news.arrival_date as is_late,
        {{ seconds_between("events.occurred_at", "events.received_at") }} as lag_seconds
    from {{ ref("stg_lake__events") }} as events
    inner join days_with_news
        on
            events.source = days_with_news.source
            and {{ utc_date("events.received_at") }} = days_with_news.arrival_date

),

counts as (

    select
        source,
        arrival_date,
        count(*) as n_events,
        count(*) filter (where is_late) as n_late_events,
        median(lag_seconds) as median_lag_seconds,
        max(lag_seconds) as max_lag_seconds,
        max(received_at) as newest_received_at
    from arrivals
    group by source, arrival_date

)

select * from counts
