{{ config(materialized="incremental", unique_key=["user_id", "item_id"]) }}

-- A return names the purchases of which nothing is left; one that gives back a part reverses none.
with reversals as (

    select
        event_id,
        coalesce({{ json_list_length("properties", "reverses") }}, 0) as n_reversed
    from {{ ref("int_events") }}
    where {{ is_return("event_type", "value") }} and {{ is_new() }}

),

new_interactions as (

    select
        interactions.*,
        not interactions.is_negative as is_positive,
        case
            when interactions.event_type != 'purchase' then 0
            else coalesce(-reversals.n_reversed, 1)
        end as net_purchase,
        -- A return takes back what its purchases gave.
        {{ event_weight("interactions.event_type") }} * coalesce(-reversals.n_reversed, 1) as weight,
        -- Decimals, because their sums do not depend on the order of the rows.
        case when interactions.event_type = 'rating' then try_cast(interactions.value as decimal(18, 6)) end as rating
    from {{ ref("fct_interactions") }} as interactions
    left join reversals on interactions.event_id = reversals.event_id
    where {{ is_new("interactions.ingestion_id") }}

),

new_sums as (

    select
        user_id,
        item_id,
        count(*) as n_interactions,
        count(*) filter (where is_positive) as n_positive,
        count(*) filter (where is_negative) as n_negative,
        count(rating) as n_ratings,
        sum(net_purchase) as n_purchases,
        sum(weight) as weight,
        sum(abs(weight)) as absolute_weight,
        sum(rating) as sum_of_ratings,
        min(occurred_at) as first_interaction_at,
        max(occurred_at) as last_interaction_at,
        max(known_at) as known_at
    from new_interactions
    group by user_id, item_id

),

sums as (

    select * from new_sums

    {% if is_incremental() %}
        union all

        select known.*
        from {{ this }} as known
        inner join new_sums on known.user_id = new_sums.user_id and known.item_id = new_sums.item_id
    {% endif %}

),

accumulated as (

    select
        user_id,
        item_id,
        cast(sum(n_interactions) as bigint) as n_interactions,
        cast(sum(n_positive) as bigint) as n_positive,
        cast(sum(n_negative) as bigint) as n_negative,
        cast(sum(n_ratings) as bigint) as n_ratings,
        cast(sum(n_purchases) as bigint) as n_purchases,
        cast(sum(weight) as decimal(38, 6)) as weight,
        cast(sum(absolute_weight) as decimal(38, 6)) as absolute_weight,
        cast(sum(sum_of_ratings) as decimal(38, 6)) as sum_of_ratings,
        min(first_interaction_at) as first_interaction_at,
        max(last_interaction_at) as last_interaction_at,
        max(known_at) as known_at
    from sums
    group by user_id, item_id

)

select * from accumulated
