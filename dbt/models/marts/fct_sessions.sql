{# By user and not by session: a late event may join two sessions into one, and the second number is no more. #}
{{ config(materialized="incremental", unique_key="user_id") }}

with interactions as (

    select * from {{ ref("fct_interactions") }}
    {{ of_users_with_news() }}

),

sessions as (

    select
        user_id,
        session_number,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        max(known_at) as event_timestamp,
        count(*) as n_interactions,
        count(distinct item_id) as n_items,
        count(*) filter (where is_negative) as n_negative,
        count(recommendation_id) as n_recommended,
        bool_or(event_type = 'purchase' and not is_negative) as has_purchase,
        {{ sorted_distinct("event_type") }} as event_types
    from interactions
    group by user_id, session_number

),

timed as (

    select
        user_id,
        session_number,
        started_at,
        ended_at,
        event_timestamp,
        {{ seconds_between("started_at", "ended_at") }} as duration_seconds,
        {{ seconds_between("lag(ended_at) over sessions_of_user", "started_at") }} as pause_seconds,
        n_interactions,
        n_items,
        n_negative,
        n_recommended,
        has_purchase,
        event_types
    from sessions
    window sessions_of_user as (partition by user_id order by session_number)

)

select * from timed
