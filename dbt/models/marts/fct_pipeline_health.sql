with events_per_day as (

    select * from {{ ref("int_arrivals_counted") }}

),

rejects_per_day as (

    select
        source,
        {{ utc_date("received_at") }} as arrival_date,
        count(*) as n_rejected,
        max(received_at) as newest_received_at
    from {{ ref("stg_lake__rejects") }}
    group by source, arrival_date

),

-- An ingestion that accepted nothing has no end; its rejects that do not say when they came are filed there, too.
ingestions as (

    select
        *,
        coalesce(completed_at, timestamp with time zone '1970-01-01 00:00:00+00') as ended_at
    from {{ ref("stg_lake__ingestions") }}

),

-- A duplicate is not kept, so the ledger knows it by its ingestion only: it counts on the day on which that ended.
ingestions_per_day as (

    select
        source,
        {{ utc_date("ended_at") }} as arrival_date,
        count(distinct ingestion_id) as n_ingestions,
        sum(n_duplicate) as n_duplicates,
        max(ended_at) as newest_received_at
    from ingestions
    group by source, arrival_date

),

days as (

    select
        source,
        arrival_date,
        newest_received_at
    from events_per_day

    union all

    select
        source,
        arrival_date,
        newest_received_at
    from rejects_per_day

    union all

    select
        source,
        arrival_date,
        newest_received_at
    from ingestions_per_day

),

distinct_days as (

    select
        source,
        arrival_date,
        max(newest_received_at) as newest_received_at
    from days
    group by source, arrival_date

),

health as (

    select
        days.source,
        days.arrival_date,
        days.newest_received_at,
        cast(
            {{ days_between("lag(days.arrival_date) over arrivals_of_source", "days.arrival_date") }} as bigint
        ) as days_since_previous,
        coalesce(ingestions_per_day.n_ingestions, 0) as n_ingestions,
        coalesce(events_per_day.n_events, 0) as n_events,
        coalesce(events_per_day.n_late_events, 0) as n_late_events,
        events_per_day.n_late_events / cast(events_per_day.n_events as double) as late_share,
        cast(coalesce(ingestions_per_day.n_duplicates, 0) as bigint) as n_duplicates,
        coalesce(rejects_per_day.n_rejected, 0) as n_rejected,
        events_per_day.median_lag_seconds,
        events_per_day.max_lag_seconds
    from distinct_days as days
    left join events_per_day
        on days.source = events_per_day.source and days.arrival_date = events_per_day.arrival_date
    left join rejects_per_day
        on days.source = rejects_per_day.source and days.arrival_date = rejects_per_day.arrival_date
    left join ingestions_per_day
        on days.source = ingestions_per_day.source and days.arrival_date = ingestions_per_day.arrival_date
    window arrivals_of_source as (partition by days.source order by days.arrival_date)

)

select * from health
