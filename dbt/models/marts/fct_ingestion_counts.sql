with ingestions as (

    select * from {{ ref("stg_lake__ingestions") }}

),

lake_rows as (

    select
        source,
        'event' as record_type,
        true as is_accepted
    from {{ ref("stg_lake__events") }}

    union all

    select
        source,
        'item' as record_type,
        true as is_accepted
    from {{ ref("stg_lake__items") }}

    union all

    select
        source,
        'user' as record_type,
        true as is_accepted
    from {{ ref("stg_lake__users") }}

    union all

    select
        source,
        record_type,
        false as is_accepted
    from {{ ref("stg_lake__rejects") }}

),

counted_by_ingestions as (

    select
        source,
        record_type,
        sum(n_landed) as n_landed,
        sum(n_accepted) as n_accepted,
        sum(n_duplicate) as n_duplicate,
        sum(n_rejected) as n_rejected
    from ingestions
    group by source, record_type

),

found_in_lake as (

    select
        source,
        record_type,
        count(*) filter (where is_accepted) as n_accepted_in_lake,
        count(*) filter (where not is_accepted) as n_rejected_in_lake
    from lake_rows
    group by source, record_type

),

counts as (

    select
        coalesce(counted_by_ingestions.source, found_in_lake.source) as source,
        coalesce(counted_by_ingestions.record_type, found_in_lake.record_type) as record_type,
        cast(coalesce(counted_by_ingestions.n_landed, 0) as bigint) as n_landed,
        cast(coalesce(counted_by_ingestions.n_accepted, 0) as bigint) as n_accepted,
        cast(coalesce(counted_by_ingestions.n_duplicate, 0) as bigint) as n_duplicate,
        cast(coalesce(counted_by_ingestions.n_rejected, 0) as bigint) as n_rejected,
        cast(coalesce(found_in_lake.n_accepted_in_lake, 0) as bigint) as n_accepted_in_lake,
        cast(coalesce(found_in_lake.n_rejected_in_lake, 0) as bigint) as n_rejected_in_lake
    from counted_by_ingestions
    full outer join found_in_lake
        on
            counted_by_ingestions.source = found_in_lake.source
            and counted_by_ingestions.record_type = found_in_lake.record_type

)

select * from counts
