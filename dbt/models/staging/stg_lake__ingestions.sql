{{ config(materialized="table") }}

with source as (

    select * from {{ source("lake", "ingestions") }}

),

renamed as (

    select
        ingestion_id,

        source,
        record_type,

        n_landed,
        n_accepted,
        n_duplicate,
        n_rejected,

        interval_start,
        interval_end,
        completed_at
    from source

)

select * from renamed
