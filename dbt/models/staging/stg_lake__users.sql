with source as (

    {{ new_lake_rows("users", "user", "n_accepted") }}

),

renamed as (

    select
        user_id,
        ingestion_id,

        attributes,
        source,
        source_file,

        source_line,

        created_at,
        received_at
    from source

)

select * from renamed
