{{ config(materialized="incremental", unique_key=["source", "arrival_date"]) }}

with events as (

    select
        source,
        received_at,
        ingestion_id,
        {{ utc_date("received_at") }} as arrival_date,
        {{ utc_date("received_at") }} > {{ utc_date("occurred_at") }} as is_late,
        {{ seconds_between("occurred_at", "received_at") }} as lag_seconds
    from {{ ref("stg_lake__events") }}

),

days_with_news as (

    select distinct
        source,
        arrival_date
    from events
    where {{ is_new() }}

),

counts as (

    select
        events.source,
        events.arrival_date,
        count(*) as n_events,
        count(*) filter (where events.is_late) as n_late_events,
        median(events.lag_seconds) as median_lag_seconds,
        max(events.lag_seconds) as max_lag_seconds,
        max(events.received_at) as newest_received_at
    from events
    inner join days_with_news
        on events.source = days_with_news.source and events.arrival_date = days_with_news.arrival_date
    group by events.source, events.arrival_date

)

select * from counts
