{{ config(
    materialized="incremental", incremental_strategy="append", post_hook="{{ build_anew_what_knows_erased_users() }}"
) }}

with erasures as (

    select
        event_id,
        user_id,
        ingestion_id,
        received_at as erased_at
    from {{ ref("stg_lake__events") }}
    where event_type = 'erasure' and {{ is_new() }}

)

select * from erasures
