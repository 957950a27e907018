with source as (

    select * from {{ source("lake", "rejects") }}

),

renamed as (

    select
        source,
        source_file,
        record_type,
        reason,
        raw as original_row,

        source_line,

        received_at
    from source

)

select * from renamed
