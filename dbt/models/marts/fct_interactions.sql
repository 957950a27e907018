with interactions as (

    select * from {{ ref("int_interactions_sessionized") }}

),

events as (

    select * from {{ ref("int_events_deduplicated") }}

),

-- An answer shows an item once; should a client report it twice, the first report counts.
impressions as (

    select
        recommendation_id,
        user_id,
        item_id,
        event_id as impression_event_id,
        {{ json_integer("properties", "rank") }} as impression_rank
    from events
    where event_type = 'impression' and recommendation_id is not null
    qualify row_number() over (
        partition by recommendation_id, user_id, item_id order by occurred_at, event_id
    ) = 1

),

interactions_with_impressions as (

    select
        interactions.event_id,
        interactions.user_id,
        interactions.item_id,
        interactions.event_type,
        interactions.is_negative,
        interactions.value,
        interactions.text,
        interactions.occurred_at,
        interactions.received_at,
        interactions.known_at,
        interactions.session_id,
        cast(interactions.session_number as integer) as session_number,
        interactions.recommendation_id,
        impressions.impression_event_id,
        impressions.impression_rank
    from interactions
    left join impressions
        on
            interactions.recommendation_id = impressions.recommendation_id
            and interactions.user_id = impressions.user_id
            and interactions.item_id = impressions.item_id

)

select * from interactions_with_impressions
