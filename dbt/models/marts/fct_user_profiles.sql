{{ config(materialized="incremental", unique_key="user_id") }}

with items_with_news as (

    select distinct item_id
    from {{ ref("stg_lake__items") }}
    where {{ is_new() }}

),

users_with_news as (

    select user_id
    from {{ ref("int_events") }}
    where {{ is_new() }} and (text is not null or event_type in {{ literals(var("interaction_types")) }})

    union distinct

    -- What is said anew of an item may change the likings of all who met it.
    select user_id
    from {{ ref("int_interactions_accumulated") }}
    where item_id in (select items_with_news.item_id from items_with_news)

),

user_items as (

    select sums.*
    from {{ ref("int_interactions_accumulated") }} as sums
    inner join users_with_news on sums.user_id = users_with_news.user_id

),

interactions as (

    select
        all_interactions.user_id,
        {{ utc_date("all_interactions.occurred_at") }} as occurred_date
    from {{ ref("fct_interactions") }} as all_interactions
    inner join users_with_news on all_interactions.user_id = users_with_news.user_id

),

sessions as (

    select all_sessions.*
    from {{ ref("fct_sessions") }} as all_sessions
    inner join users_with_news on all_sessions.user_id = users_with_news.user_id

),

events as (

    select all_events.*
    from {{ ref("int_events") }} as all_events
    inner join users_with_news on all_events.user_id = users_with_news.user_id
    where all_events.text is not null

),

items as (

    select * from {{ ref("dim_item_versions") }}
    where valid_to is null

),

totals as (

    select
        user_id,
        sum(n_interactions) as n_interactions,
        sum(n_negative) as n_negative,
        sum(n_purchases) as n_purchases,
        sum(absolute_weight) as absolute_weight,
        min(first_interaction_at) as first_interaction_at,
        max(last_interaction_at) as last_interaction_at
    from user_items
    group by user_id

),

active_days as (

    select
        user_id,
        count(distinct occurred_date) as n_active_days
    from interactions
    group by user_id

),

cadence as (

    select
        user_id,
        count(*) as n_sessions,
        median(duration_seconds) as median_session_seconds,
        median(pause_seconds) as median_pause_seconds
    from sessions
    group by user_id

),

ranked_items as (

    select
        user_id,
        item_id,
        weight,
        row_number() over (partition by user_id order by weight desc, last_interaction_at desc, item_id asc) as place
    from user_items
    where weight > 0

),

top_items as (

    select
        user_id,
        {{ sorted_records({"place": "place", "item_id": "item_id", "weight": "cast(weight as double)"}) }} as records
    from ranked_items
    where place <= {{ var("max_profile_entries") }}
    group by user_id

),

item_categories as (

    select distinct
        item_id,
        {{ unnested("categories") }} as category
    from items

),

category_weights as (

    select
        user_items.user_id,
        item_categories.category,
        sum(user_items.weight) as weight
    from user_items
    inner join item_categories on user_items.item_id = item_categories.item_id
    group by user_items.user_id, item_categories.category

),

ranked_categories as (

    select
        category_weights.user_id,
        category_weights.category,
        cast(category_weights.weight as double) / cast(totals.absolute_weight as double) as affinity,
        row_number() over (
            partition by category_weights.user_id
            order by abs(category_weights.weight) desc, category_weights.category asc
        ) as place
    from category_weights
    inner join totals on category_weights.user_id = totals.user_id
    where category_weights.weight != 0

),

top_categories as (

    select
        user_id,
        {{ sorted_records({"place": "place", "category": "category", "affinity": "affinity"}) }} as records
    from ranked_categories
    where place <= {{ var("max_profile_entries") }}
    group by user_id

),

ranked_texts as (

    select
        user_id,
        event_id,
        event_type,
        text,
        occurred_at,
        known_at,
        row_number() over (partition by user_id order by occurred_at desc, event_id desc) as place
    from events

),

newest_texts as (

    select
        user_id,
        {{ sorted_records({
            "occurred_at": "occurred_at", "event_id": "event_id", "event_type": "event_type", "text": "text",
        }) }} as records
    from ranked_texts
    where place <= {{ var("max_profile_entries") }}
    group by user_id

),

-- A profile changes with what the user does and writes, and with what is known of the items they met.
facts as (

    select
        user_id,
        max(known_at) as known_at
    from ranked_texts
    group by user_id

    union all

    select
        user_items.user_id,
        max(greatest(user_items.known_at, items.valid_from)) as known_at
    from user_items
    inner join items on user_items.item_id = items.item_id
    group by user_items.user_id

),

users as (

    select
        user_id,
        max(known_at) as event_timestamp
    from facts
    group by user_id

),

profiles as (

    select
        users.user_id,
        users.event_timestamp,
        cast(coalesce(totals.n_interactions, 0) as bigint) as n_interactions,
        cast(coalesce(totals.n_negative, 0) as bigint) as n_negative,
        cast(coalesce(totals.n_purchases, 0) as bigint) as n_purchases,
        coalesce(active_days.n_active_days, 0) as n_active_days,
        coalesce(cadence.n_sessions, 0) as n_sessions,
        totals.first_interaction_at,
        totals.last_interaction_at,
        cadence.median_session_seconds,
        cadence.median_pause_seconds,
        coalesce({{ field_of_records("top_categories.records", "category") }}, {{ empty_list() }}) as categories,
        coalesce(
            {{ field_of_records("top_categories.records", "affinity") }}, {{ empty_list() }}
        ) as category_affinities,
        coalesce({{ field_of_records("top_items.records", "item_id") }}, {{ empty_list() }}) as top_item_ids,
        coalesce({{ field_of_records("top_items.records", "weight") }}, {{ empty_list() }}) as top_item_weights,
        coalesce({{ field_of_records("newest_texts.records", "text") }}, {{ empty_list() }}) as texts,
        coalesce({{ field_of_records("newest_texts.records", "event_type") }}, {{ empty_list() }}) as text_event_types
    from users
    left join totals on users.user_id = totals.user_id
    left join active_days on users.user_id = active_days.user_id
    left join cadence on users.user_id = cadence.user_id
    left join top_categories on users.user_id = top_categories.user_id
    left join top_items on users.user_id = top_items.user_id
    left join newest_texts on users.user_id = newest_texts.user_id

)

select * from profiles
