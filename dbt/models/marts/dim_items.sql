with items as (

    select * from {{ ref("stg_lake__items") }}

),

events as (

    select * from {{ ref("int_events") }}

),

described as (

    select *
    from items
    qualify row_number() over (
        partition by item_id order by updated_at desc, received_at desc, source asc, source_file asc, source_line desc
    ) = 1

),

-- Behaviour without a catalogue is still a world to recommend from: such an item is called by its id.
undescribed as (

    select
        events.item_id,
        min(events.known_at) as updated_at
    from events
    left join described on events.item_id = described.item_id
    where events.item_id is not null and described.item_id is null
    group by events.item_id

),

all_items as (

    select
        item_id,
        title,
        description,
        categories,
        tags,
        cast(price as double) as price,
        image_url,
        attributes,
        available_from,
        is_available,
        updated_at
    from described

    union all

    select
        item_id,
        item_id as title,
        null as description,
        [] as categories,
        [] as tags,
        null as price,
        null as image_url,
        '{}' as attributes,
        null as available_from,
        true as is_available,
        updated_at
    from undescribed

)

select * from all_items
