with source as (

    {{ new_lake_rows("events", "event", "n_accepted") }}

),

renamed as (

    select
        event_id,
        user_id,
        item_id,
        session_id,
        recommendation_id,
        ingestion_id,

        event_type,
        text,
        properties,
        source,
        source_file,

        value,
        source_line,

        occurred_at,
        received_at,
        greatest(occurred_at, received_at) as known_at
    from source

)

select * from renamed
