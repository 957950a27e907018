-- No feature row may rest on an event that happened, or became known, after the row's event_timestamp; and none may
-- miss one that was known by then. Recounted from the interactions by another way than the marts take: day by day, all
-- that was known by the end of each, looked up as of each row.
with interactions as (

    select
        *,
        {{ utc_date("known_at") }} as known_date
    from {{ ref("fct_interactions") }}

),

user_totals as (

    select
        user_id,
        count(*) as n_known,
        count(distinct item_id) as n_met,
        max(known_at) as known_at
    from interactions
    where {{ is_touched("user_id") }}
    group by user_id

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

-- A state is as of its newest fact: it must hold all that is known, and be dated accordingly.
states_of_another_time_or_size as (

    select
        'fct_user_recent_events' as mart,
        coalesce(states.user_id, user_totals.user_id) as entity_id,
        states.event_timestamp
    from states
    full outer join user_totals on states.user_id = user_totals.user_id
    where
        states.event_timestamp is distinct from user_totals.known_at
        or states.n_recent is distinct from least(user_totals.n_known, {{ var("max_recent_events") }})
        or states.n_seen is distinct from user_totals.n_met

),

events_in_states as (

    select
        user_id,
        event_timestamp,
        {{ unnested("recent_event_ids") }} as event_id
    from states

),

events_from_the_future as (

    select
        'fct_user_recent_events' as mart,
        events_in_states.user_id as entity_id,
        events_in_states.event_timestamp
    from events_in_states
    left join interactions
        on
            events_in_states.event_id = interactions.event_id
            and events_in_states.user_id = interactions.user_id
    where
        interactions.event_id is null
        or interactions.occurred_at > events_in_states.event_timestamp
        or interactions.received_at > events_in_states.event_timestamp

),

user_days as (

    select
        user_id,
        known_date,
        sum(count(*)) over (partition by user_id order by known_date) as n_known
    from interactions
    where {{ is_touched("user_id") }}
    group by user_id, known_date

),

activity_from_the_future as (

    select
        'fct_user_activity_daily' as mart,
        activity.user_id as entity_id,
        activity.event_timestamp
    from {{ ref("fct_user_activity_daily") }} as activity
    asof left join user_days
        on activity.user_id = user_days.user_id and activity.activity_date >= user_days.known_date
    where
        {{ is_touched("user_id", "activity.user_id") }}
        and (
            activity.n_interactions_total is distinct from user_days.n_known
            or activity.event_timestamp is distinct from {{ end_of_day("activity.activity_date") }}
        )

),

item_days as (

    select
        item_id,
        known_date,
        sum(count(*)) over (partition by item_id order by known_date) as n_known
    from interactions
    where not is_negative and {{ is_touched("item_id") }}
    group by item_id, known_date

),

popularity_from_the_future as (

    select
        'fct_item_popularity_daily' as mart,
        popularity.item_id as entity_id,
        popularity.event_timestamp
    from {{ ref("fct_item_popularity_daily") }} as popularity
    asof left join item_days
        on popularity.item_id = item_days.item_id and popularity.popularity_date >= item_days.known_date
    where
        {{ is_touched("item_id", "popularity.item_id") }}
        and (
            popularity.n_interactions_total is distinct from item_days.n_known
            or popularity.event_timestamp is distinct from {{ end_of_day("popularity.popularity_date") }}
        )

)

select * from states_of_another_time_or_size
union all
select * from events_from_the_future
union all
select * from activity_from_the_future
union all
select * from popularity_from_the_future
