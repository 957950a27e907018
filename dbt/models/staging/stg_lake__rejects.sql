with source as (

    {{ new_lake_rows("rejects", none, "n_rejected") }}

),

renamed as (

    select
        ingestion_id,

        source,
        source_file,
        record_type,
        reason,
        general_reason,
        raw as original_row,

        source_line,

        received_at
    from source

)

select * from renamed
