with rejects as (

    select * from {{ ref("stg_lake__rejects") }}

),

numbered as (

    select
        *,
        row_number() over (
            partition by source, record_type, general_reason order by received_at, source_file, source_line
        ) as occurrence
    from rejects

),

first_ones as (

    select *
    from numbered
    where occurrence = 1

),

counts as (

    select
        source,
        record_type,
        general_reason,
        count(*) as n_rejected,
        count(distinct source_file) as n_files,
        min(received_at) as first_received_at,
        max(received_at) as last_received_at
    from rejects
    group by source, record_type, general_reason

),

reasons as (

    select
        counts.source,
        counts.record_type,
        counts.general_reason as reason,
        counts.n_rejected,
        counts.n_files,
        counts.first_received_at,
        counts.last_received_at,
        first_ones.reason as example_reason,
        first_ones.source_file as example_file,
        first_ones.source_line as example_line,
        first_ones.original_row as example_row
    from counts
    inner join first_ones
        on
            counts.source = first_ones.source
            and counts.record_type = first_ones.record_type
            and counts.general_reason = first_ones.general_reason

)

select * from reasons
