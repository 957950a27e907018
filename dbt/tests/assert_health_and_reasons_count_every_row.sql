-- What the quality marts count by day and by reason is what the ledger knows by source: nothing falls between days.
with counts as (

    select
        source,
        sum(case when record_type = 'event' then n_accepted else 0 end) as n_events,
        sum(n_duplicate) as n_duplicates,
        sum(n_rejected) as n_rejected
    from {{ ref("fct_ingestion_counts") }}
    group by source

),

health as (

    select
        source,
        sum(n_events) as n_events,
        sum(n_duplicates) as n_duplicates,
        sum(n_rejected) as n_rejected
    from {{ ref("fct_pipeline_health") }}
    group by source

),

reasons as (

    select
        source,
        sum(n_rejected) as n_rejected
    from {{ ref("fct_reject_reasons") }}
    group by source

)

select
    counts.source,
    counts.n_events,
    health.n_events as n_events_by_day,
    counts.n_duplicates,
    health.n_duplicates as n_duplicates_by_day,
    counts.n_rejected,
    health.n_rejected as n_rejected_by_day,
    reasons.n_rejected as n_rejected_by_reason
from counts
full outer join health on counts.source = health.source
full outer join reasons on counts.source = reasons.source
where
    counts.n_events is distinct from health.n_events
    or counts.n_duplicates is distinct from health.n_duplicates
    or counts.n_rejected is distinct from health.n_rejected
    or counts.n_rejected != coalesce(reasons.n_rejected, 0)
