with source as (

    {{ new_lake_rows("items", "item", "n_accepted") }}

),

renamed as (

    select
        item_id,
        ingestion_id,

        title,
        description,
        categories,
        tags,
        image_url,
        attributes,
        source,
        source_file,

        price,
        source_line,

        is_available,

        available_from,
        updated_at,
        received_at
    from source

)

select * from renamed
