{{ config(materialized="incremental", unique_key="event_id") }}

{%- set columns = [
    "event_id", "user_id", "item_id", "ingestion_id", "event_type", "is_negative", "value", "text", "occurred_at",
    "received_at", "known_at", "session_id", "recommendation_id",
] %}

with new_interactions as (

    select
        *,
        event_type in {{ literals(var("negative_types")) }} or {{ is_return("event_type", "value") }} as is_negative
    from {{ ref("int_events") }}
    where event_type in {{ literals(var("interaction_types")) }} and {{ is_new() }}

),

first_newcomers as (

    select
        user_id,
        min(occurred_at) as occurred_at
    from new_interactions
    group by user_id

),

-- Sessions are counted from a user's first: what happened after a newcomer is numbered anew, what came before is not.
earlier_sessions as (

    {% if is_incremental() -%}
        select
            known.user_id,
            max(known.occurred_at) as last_occurred_at,
            max(known.session_number) as n_sessions
        from {{ this }} as known
        inner join first_newcomers on known.user_id = first_newcomers.user_id
        where known.occurred_at < first_newcomers.occurred_at
        group by known.user_id
    {%- else -%}
        select
            user_id,
            occurred_at as last_occurred_at,
            0 as n_sessions
        from first_newcomers
        where false
    {%- endif %}

),

interactions_to_number as (

    select {{ columns | join(", ") }} from new_interactions

    {% if is_incremental() %}
        union all

        select known.{{ columns | join(", known.") }}
        from {{ this }} as known
        inner join first_newcomers on known.user_id = first_newcomers.user_id
        where known.occurred_at >= first_newcomers.occurred_at
    {% endif %}

),

after_previous as (

    select
        interactions_to_number.*,
        coalesce(earlier_sessions.n_sessions, 0) as n_earlier_sessions,
        coalesce(
            lag(interactions_to_number.occurred_at) over (
                partition by interactions_to_number.user_id
                order by interactions_to_number.occurred_at, interactions_to_number.event_id
            ),
            earlier_sessions.last_occurred_at
        ) as previous_occurred_at
    from interactions_to_number
    left join earlier_sessions on interactions_to_number.user_id = earlier_sessions.user_id

),

numbered as (

    select
        {{ columns | join(", ") }},
        n_earlier_sessions + sum(
            case
                when occurred_at <= {{ plus_minutes("previous_occurred_at", var("session_gap_minutes")) }} then 0
                else 1
            end
        ) over (
            partition by user_id order by occurred_at, event_id rows between unbounded preceding and current row
        ) as session_number
    from after_previous

),

{% if is_incremental() -%}

    new_impressions as (

        select
            recommendation_id,
            user_id,
            item_id
        from {{ ref("int_impressions") }}
        where {{ is_new() }}

    ),

    -- An impression that arrives after the interaction that answers it is found all the same.
    answers_to_new_impressions as (

        select
            known.{{ columns | join(", known.") }},
            known.session_number
        from {{ this }} as known
        inner join new_impressions
            on
                known.recommendation_id = new_impressions.recommendation_id
                and known.user_id = new_impressions.user_id
                and known.item_id = new_impressions.item_id
        where known.event_id not in (select numbered.event_id from numbered)

    ),

{%- endif %}

interactions as (

    select * from numbered

    {% if is_incremental() %}
        union all

        select * from answers_to_new_impressions
    {% endif %}

),

interactions_with_impressions as (

    select
        interactions.event_id,
        interactions.user_id,
        interactions.item_id,
        interactions.ingestion_id,
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
    left join {{ ref("int_impressions") }} as impressions
        on
            interactions.recommendation_id = impressions.recommendation_id
            and interactions.user_id = impressions.user_id
            and interactions.item_id = impressions.item_id

)

select * from interactions_with_impressions
