-- No feature row may rest on an event that happened, or became known, after the row's event_timestamp; and none may
-- miss one that was known by then. Recounted from the interactions by another way than the marts take: running counts
-- in the order of knowledge, looked up as of each row.
with interactions as (

    select * from {{ ref("fct_interactions") }}
    where {{ is_touched("user_id") }}

),

user_counts as (

    select
        user_id,
        known_at,
        count(*) over (partition by user_id order by known_at) as n_known
    from interactions

),

first_meetings as (

    select
        user_id,
        item_id,
        min(known_at) as known_at
    from interactions
    group by user_id, item_id

),

met_counts as (

    select
        user_id,
        known_at,
        count(*) over (partition by user_id order by known_at) as n_met
    from first_meetings

),

item_counts as (

    select
        item_id,
        known_at,
        count(*) over (partition by item_id order by known_at) as n_known
    from {{ ref("fct_interactions") }}
    where not is_negative and {{ is_touched("item_id") }}

),

states as (

    select
        user_id,
        event_timestamp,
        recent_event_ids,
        len(recent_event_ids) as n_recent,
        len(seen_item_ids) as n_seen
    from {{ ref("fct_user_recent_events") }}
    where {{ is_touched("user_id") }}

),

events_in_states as (

    select
        user_id,
        event_timestamp,
        unnest(recent_event_ids) as event_id
    from states

),

events_from_the_future as (

    select
        'fct_user_recent_events' as mart,
        events_in_states.user_id as entity_id,
        events_in_states.event_timestamp
    from events_in_states
    left join interactions on events_in_states.event_id = interactions.event_id
    where
        interactions.event_id is null
        or interactions.occurred_at > events_in_states.event_timestamp
        or interactions.received_at > events_in_states.event_timestamp

),

states_of_another_size as (

    select
        'fct_user_recent_events' as mart,
        states.user_id as entity_id,
        states.event_timestamp
    from states
    asof left join user_counts
        on states.user_id = user_counts.user_id and states.event_timestamp >= user_counts.known_at
    where states.n_recent is distinct from least(user_counts.n_known, {{ var("max_recent_events") }})

),

items_from_the_future as (

    select
        'fct_user_recent_events' as mart,
        states.user_id as entity_id,
        states.event_timestamp
    from states
    asof left join met_counts
        on states.user_id = met_counts.user_id and states.event_timestamp >= met_counts.known_at
    where states.n_seen is distinct from met_counts.n_met

),

activity_from_the_future as (

    select
        'fct_user_activity_daily' as mart,
        activity.user_id as entity_id,
        activity.event_timestamp
    from {{ ref("fct_user_activity_daily") }} as activity
    asof left join user_counts
        on activity.user_id = user_counts.user_id and activity.event_timestamp > user_counts.known_at
    where
        activity.n_interactions_total is distinct from user_counts.n_known
        and {{ is_touched("user_id", "activity.user_id") }}

),

popularity_from_the_future as (

    select
        'fct_item_popularity_daily' as mart,
        popularity.item_id as entity_id,
        popularity.event_timestamp
    from {{ ref("fct_item_popularity_daily") }} as popularity
    asof left join item_counts
        on popularity.item_id = item_counts.item_id and popularity.event_timestamp > item_counts.known_at
    where
        popularity.n_interactions_total is distinct from item_counts.n_known
        and {{ is_touched("item_id", "popularity.item_id") }}

)

select * from events_from_the_future
union all
select * from states_of_another_size
union all
select * from items_from_the_future
union all
select * from activity_from_the_future
union all
select * from popularity_from_the_future
