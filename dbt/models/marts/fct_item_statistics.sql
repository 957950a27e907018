with items as (

    select * from {{ ref("dim_items") }}

),

versions as (

    select * from {{ ref("dim_item_versions") }}

),

events as (

    select * from {{ ref("stg_lake__events") }}

),

interactions as (

    select
        *,
        {{ utc_date("known_at") }} as known_date,
        not is_negative and not {{ is_return("event_type", "value") }} as is_positive,
        {{ event_weight("event_type", "value") }} as weight,
        {{ net_purchase("event_type", "value") }} as net_purchase
    from {{ ref("fct_interactions") }}

),

-- Windows end where the knowledge ends: a clock on the wall would make every build another.
newest as (

    select
        max(known_at) as known_at,
        max(known_date) as known_date
    from interactions

),

users_of_items as (

    select
        interactions.item_id,
        interactions.user_id,
        count(*) filter (where interactions.is_positive) as n_positive,
        count(*) filter (where interactions.is_negative) as n_negative,
        count(*) filter (
            where
            interactions.is_positive and {{ days_between("interactions.known_date", "newest.known_date") }} < 7
        ) as n_7d,
        count(*) filter (
            where
            interactions.is_positive
            and {{ days_between("interactions.known_date", "newest.known_date") }} between 7 and 13
        ) as n_previous_7d,
        sum(interactions.net_purchase) as n_purchases,
        sum(interactions.weight) as weight,
        min(interactions.occurred_at) as first_interaction_at,
        max(interactions.occurred_at) as last_interaction_at
    from interactions
    cross join newest
    group by interactions.item_id, interactions.user_id

),

totals as (

    select
        item_id,
        sum(n_positive) as n_interactions,
        sum(n_negative) as n_negative,
        sum(n_7d) as n_interactions_7d,
        sum(n_previous_7d) as n_interactions_previous_7d,
        sum(n_purchases) as n_purchases,
        count(*) filter (where n_positive > 0) as n_users,
        count(*) filter (where n_purchases > 0) as n_buyers,
        sum(weight) as weight,
        min(first_interaction_at) as first_interaction_at,
        max(last_interaction_at) as last_interaction_at
    from users_of_items
    group by item_id

),

ratings as (

    select
        item_id,
        median(value) as median_rating
    from interactions
    where event_type = 'rating'
    group by item_id

),

-- A client that reports an impression or a click twice has still shown the item once.
answered as (

    select distinct impression_event_id
    from interactions
    where impression_event_id is not null and is_positive

),

impressions as (

    select
        events.item_id,
        count(*) as n_impressions,
        count(answered.impression_event_id) as n_answered,
        max(events.known_at) as known_at
    from events
    left join answered on events.event_id = answered.impression_event_id
    where events.event_type = 'impression'
    group by events.item_id

),

first_known as (

    select
        item_id,
        min(valid_from) as first_known_at
    from versions
    group by item_id

),

statistics as (

    select
        items.item_id,
        greatest(
            first_known.first_known_at,
            coalesce(newest.known_at, first_known.first_known_at),
            coalesce(impressions.known_at, first_known.first_known_at)
        ) as event_timestamp,
        first_known.first_known_at,
        totals.first_interaction_at,
        totals.last_interaction_at,
        cast(
            {{ days_between(
                utc_date("coalesce(items.available_from, first_known.first_known_at)"), "newest.known_date"
            ) }} as bigint
        ) as age_days,
        cast(coalesce(totals.n_interactions, 0) as bigint) as n_interactions,
        cast(coalesce(totals.n_interactions_7d, 0) as bigint) as n_interactions_7d,
        cast(coalesce(totals.n_interactions_previous_7d, 0) as bigint) as n_interactions_previous_7d,
        cast(coalesce(totals.n_negative, 0) as bigint) as n_negative,
        cast(coalesce(totals.n_purchases, 0) as bigint) as n_purchases,
        coalesce(totals.n_users, 0) as n_users,
        coalesce(totals.n_buyers, 0) as n_buyers,
        coalesce(impressions.n_impressions, 0) as n_impressions,
        cast(coalesce(totals.weight, 0) as double) as total_weight,
        -- Rounded, because the last digits of a logarithm are the machine's.
        round(
            ln((coalesce(totals.n_interactions_7d, 0) + 1.0) / (coalesce(totals.n_interactions_previous_7d, 0) + 1.0)),
            6
        ) as trend,
        totals.n_buyers / cast(nullif(totals.n_users, 0) as double) as conversion_rate,
        impressions.n_answered / cast(impressions.n_impressions as double) as click_through_rate,
        ratings.median_rating
    from items
    inner join first_known on items.item_id = first_known.item_id
    cross join newest
    left join totals on items.item_id = totals.item_id
    left join ratings on items.item_id = ratings.item_id
    left join impressions on items.item_id = impressions.item_id

)

select * from statistics
