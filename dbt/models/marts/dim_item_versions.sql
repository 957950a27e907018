with items as (

    select * from {{ ref("stg_lake__items") }}

),

events as (

    select * from {{ ref("int_events") }}

),

-- The later of any two descriptions, by the same rule as in `dim_items`.
ranked as (

    select
        *,
        greatest(updated_at, received_at) as valid_from,
        row_number() over (
            partition by item_id
            order by updated_at asc, received_at asc, source desc, source_file desc, source_line asc
        ) as precedence
    from items

),

-- What was the latest description at each moment. One that arrived after a later one had been known never was.
latest_at_their_time as (

    select *
    from ranked
    qualify precedence = max(precedence) over (
        partition by item_id order by valid_from range between unbounded preceding and current row
    )

),

-- Behaviour may come before the catalogue: until it is described, such an item is called by its id.
first_seen as (

    select
        item_id,
        min(known_at) as valid_from
    from events
    where item_id is not null
    group by item_id

),

first_described as (

    select
        item_id,
        min(valid_from) as valid_from
    from latest_at_their_time
    group by item_id

),

undescribed as (

    select
        first_seen.item_id,
        first_seen.valid_from
    from first_seen
    left join first_described on first_seen.item_id = first_described.item_id
    where first_described.item_id is null or first_seen.valid_from < first_described.valid_from

),

all_versions as (

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
        updated_at,
        valid_from
    from latest_at_their_time

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
        valid_from as updated_at,
        valid_from
    from undescribed

),

fingerprinted as (

    select
        *,
        {{ fingerprint([
            "title", "description", "categories", "tags", "price", "image_url", "attributes", "available_from",
            "is_available",
        ]) }} as content
    from all_versions

),

-- A catalogue that is sent every night repeats itself: only a change is a version.
changes as (

    select *
    from fingerprinted
    qualify content is distinct from lag(content) over (partition by item_id order by valid_from)

),

versions as (

    select
        item_id,
        title,
        description,
        categories,
        tags,
        price,
        image_url,
        attributes,
        available_from,
        is_available,
        updated_at,
        valid_from,
        lead(valid_from) over (partition by item_id order by valid_from) as valid_to
    from changes

)

select * from versions
