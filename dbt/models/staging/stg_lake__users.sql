with source as (

    select * from {{ source("lake", "users") }}

),

renamed as (

    select
        user_id,

        attributes,
        source,
        source_file,

        source_line,

        created_at,
        received_at
    from source

)

select * from renamed
