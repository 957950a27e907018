with interactions as (

    select
        *,
        not is_negative and not {{ is_return("event_type", "value") }} as is_positive,
        {{ event_weight("event_type", "value") }} as weight,
        {{ net_purchase("event_type", "value") }} as net_purchase,
        -- Decimals, because their sums do not depend on the order of the rows.
        case when event_type = 'rating' then try_cast(value as decimal(18, 6)) end as rating
    from {{ ref("fct_interactions") }}

),

accumulated as (

    select
        user_id,
        item_id,
        count(*) as n_interactions,
        count(*) filter (where is_positive) as n_positive,
        count(*) filter (where is_negative) as n_negative,
        count(rating) as n_ratings,
        cast(sum(net_purchase) as bigint) as n_purchases,
        sum(weight) as weight,
        sum(abs(weight)) as absolute_weight,
        sum(rating) as sum_of_ratings,
        min(occurred_at) as first_interaction_at,
        max(occurred_at) as last_interaction_at,
        max(known_at) as known_at
    from interactions
    group by user_id, item_id

)

select * from accumulated
