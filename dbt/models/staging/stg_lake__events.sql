with source as (

    select * from {{ source("lake", "events") }}

),

renamed as (

    select
        event_id,
        user_id,
        item_id,
        session_id,
        recommendation_id,

        event_type,
        text,
        properties,
        source,
        source_file,

        value,
        source_line,

        occurred_at,
        received_at
    from source

)

select * from renamed
