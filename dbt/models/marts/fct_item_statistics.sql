with items as (

    select * from {{ ref("dim_items") }}

),

versions as (

    select * from {{ ref("dim_item_versions") }}

),

-- Windows end where the knowledge ends: a clock on the wall would make every build another.
newest as (

    select
        max(known_at) as known_at,
        {{ utc_date("max(known_at)") }} as known_date
    from {{ ref("int_interactions_accumulated") }}

),

totals as (

    select
        item_id,
        cast(sum(n_positive) as bigint) as n_interactions,
        cast(sum(n_negative) as bigint) as n_negative,
        cast(sum(n_purchases) as bigint) as n_purchases,
        count(*) filter (where n_positive > 0) as n_users,
        count(*) filter (where n_purchases > 0) as n_buyers,
        cast(sum(weight) as double) as total_weight,
        cast(sum(sum_of_ratings) as double) / cast(nullif(sum(n_ratings), 0) as double) as mean_rating,
        min(first_interaction_at) as first_interaction_at,
        max(last_interaction_at) as last_interaction_at
    from {{ ref("int_interactions_accumulated") }}
    group by item_id

),

-- The last seven days, and the seven before, as they were counted on their last day.
windows as (

    select
        popularity.item_id,
        max_by(popularity.n_interactions_7d, popularity.popularity_date) as n_interactions_7d,
        max_by(popularity.n_interactions_7d, popularity.popularity_date) filter (
            where popularity.popularity_date <= {{ plus_days("newest.known_date", -7) }}
        ) as n_interactions_previous_7d
    from {{ ref("fct_item_popularity_daily") }} as popularity
    cross join newest
    where popularity.popularity_date <= newest.known_date
    group by popularity.item_id

),

-- A client that reports an impression or a click twice has still shown the item once.
answered as (

    select distinct impression_event_id
    from {{ ref("fct_interactions") }}
    where impression_event_id is not null and not is_negative

),

impressions as (

    select
        events.item_id,
        count(*) as n_impressions,
        count(answered.impression_event_id) as n_answered,
        max(events.known_at) as known_at
    from {{ ref("int_events") }} as events
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
        coalesce(totals.n_interactions, 0) as n_interactions,
        coalesce(windows.n_interactions_7d, 0) as n_interactions_7d,
        coalesce(windows.n_interactions_previous_7d, 0) as n_interactions_previous_7d,
        coalesce(totals.n_negative, 0) as n_negative,
        coalesce(totals.n_purchases, 0) as n_purchases,
        coalesce(totals.n_users, 0) as n_users,
        coalesce(totals.n_buyers, 0) as n_buyers,
        coalesce(impressions.n_impressions, 0) as n_impressions,
        coalesce(totals.total_weight, 0) as total_weight,
        -- Rounded, because the last digits of a logarithm are the machine's.
        round(
            ln(coalesce(windows.n_interactions_7d, 0) + 1.0)
            - ln(coalesce(windows.n_interactions_previous_7d, 0) + 1.0),
            6
        ) as trend,
        totals.n_buyers / cast(nullif(totals.n_users, 0) as double) as conversion_rate,
        impressions.n_answered / cast(impressions.n_impressions as double) as click_through_rate,
        totals.mean_rating
    from items
    inner join first_known on items.item_id = first_known.item_id
    cross join newest
    left join totals on items.item_id = totals.item_id
    left join windows on items.item_id = windows.item_id
    left join impressions on items.item_id = impressions.item_id

)

select * from statistics
