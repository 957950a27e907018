-- The marts of one row per entity are as of their newest fact: none may rest on an interaction that became known after
-- the row's event_timestamp, and none may be dated later than the facts it can rest on.
with interactions as (

    select * from {{ ref("fct_interactions") }}
    where {{ is_touched("user_id") }}

),

newest_of_sessions as (

    select
        user_id,
        session_number,
        max(known_at) as known_at
    from interactions
    group by user_id, session_number

),

sessions as (

    select * from {{ ref("fct_sessions") }}
    where {{ is_touched("user_id") }}

),

sessions_of_another_time as (

    select
        'fct_sessions' as mart,
        sessions.user_id as entity_id,
        sessions.event_timestamp
    from sessions
    full outer join newest_of_sessions
        on
            sessions.user_id = newest_of_sessions.user_id
            and sessions.session_number = newest_of_sessions.session_number
    where sessions.event_timestamp is distinct from newest_of_sessions.known_at

),

facts_of_users as (

    select
        user_id,
        known_at
    from interactions

    union all

    select
        user_id,
        known_at
    from {{ ref("int_events") }}
    where text is not null and {{ is_touched("user_id") }}

    union all

    select
        interactions.user_id,
        versions.valid_from as known_at
    from interactions
    inner join {{ ref("dim_item_versions") }} as versions
        on interactions.item_id = versions.item_id and versions.valid_to is null

),

newest_of_users as (

    select
        user_id,
        max(known_at) as known_at
    from facts_of_users
    group by user_id

),

profiles as (

    select * from {{ ref("fct_user_profiles") }}
    where {{ is_touched("user_id") }}

),

profiles_of_another_time as (

    select
        'fct_user_profiles' as mart,
        profiles.user_id as entity_id,
        profiles.event_timestamp
    from profiles
    full outer join newest_of_users on profiles.user_id = newest_of_users.user_id
    where profiles.event_timestamp is distinct from newest_of_users.known_at

),

-- The marts of items are built whole every time, and so looked at whole.
newest_of_items as (

    select
        item_id,
        max(known_at) as known_at
    from {{ ref("fct_interactions") }}
    group by item_id

),

statistics_from_the_future as (

    select
        'fct_item_statistics' as mart,
        statistics.item_id as entity_id,
        statistics.event_timestamp
    from {{ ref("fct_item_statistics") }} as statistics
    inner join newest_of_items
        on statistics.item_id = newest_of_items.item_id and statistics.event_timestamp < newest_of_items.known_at

),

neighbours_from_the_future as (

    select
        'fct_item_neighbours' as mart,
        neighbours.item_id as entity_id,
        neighbours.event_timestamp
    from {{ ref("fct_item_neighbours") }} as neighbours
    inner join newest_of_items on neighbours.item_id = newest_of_items.item_id
    inner join newest_of_items as newest_of_neighbours on neighbours.neighbour_id = newest_of_neighbours.item_id
    where neighbours.event_timestamp > greatest(newest_of_items.known_at, newest_of_neighbours.known_at)

)

select * from sessions_of_another_time
union all
select * from profiles_of_another_time
union all
select * from statistics_from_the_future
union all
select * from neighbours_from_the_future
