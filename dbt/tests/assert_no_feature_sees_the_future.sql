-- No feature row may rest on an event that happened, or became known, after the row's event_timestamp; and none may
-- miss one that was known by then. Recounted from the interactions by another way than the marts take: day by day, all
-- that was known by the end of each. Of what was there before, the rows from the first new day on are recounted, upon
-- the last one before it, which the build that wrote it has tested.
{%- set daily_marts = [
    ("fct_user_activity_daily", "user_id", "activity_date", "true"),
    ("fct_item_popularity_daily", "item_id", "popularity_date", "not is_negative"),
] %}

with user_totals as (

    select
        user_id,
        count(*) as n_known,
        count(distinct item_id) as n_met,
        max(known_at) as known_at
    from {{ ref("fct_interactions") }}
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
    left join {{ ref("fct_interactions") }} as interactions
        on
            events_in_states.event_id = interactions.event_id
            and events_in_states.user_id = interactions.user_id
    where
        interactions.event_id is null
        or interactions.occurred_at > events_in_states.event_timestamp
        or interactions.received_at > events_in_states.event_timestamp

),
{%- for mart, entity_id, date_column, condition in daily_marts %}

    {{ mart }}_first_days as (

        select
            {{ entity_id }},
            min({{ utc_date("known_at") }}) as first_date
        from {{ ref("fct_interactions") }}
        where {{ condition }} and {{ is_news() }}
        group by {{ entity_id }}

    ),

    {{ mart }}_before as (

        select
            known.{{ entity_id }},
            max_by(known.n_interactions_total, known.{{ date_column }}) as n_known
        from {{ ref(mart) }} as known
        inner join {{ mart }}_first_days as first_days on known.{{ entity_id }} = first_days.{{ entity_id }}
        where known.{{ date_column }} < first_days.first_date
        group by known.{{ entity_id }}

    ),

    -- What each day added, and what the mart says of it.
    {{ mart }}_days as (

        select
            interactions.{{ entity_id }},
            {{ utc_date("interactions.known_at") }} as known_date,
            count(*) as n_new,
            null as n_said,
            null as event_timestamp
        from {{ ref("fct_interactions") }} as interactions
        inner join {{ mart }}_first_days as first_days on interactions.{{ entity_id }} = first_days.{{ entity_id }}
        where {{ condition }} and {{ utc_date("interactions.known_at") }} >= first_days.first_date
        group by interactions.{{ entity_id }}, known_date

        union all

        select
            features.{{ entity_id }},
            features.{{ date_column }} as known_date,
            0 as n_new,
            features.n_interactions_total as n_said,
            features.event_timestamp
        from {{ ref(mart) }} as features
        left join {{ mart }}_first_days as first_days on features.{{ entity_id }} = first_days.{{ entity_id }}
        -- Where everything is tested, a row of whom nothing is known is wrong as well.
        where features.{{ date_column }} >= first_days.first_date or {{ is_everything_tested() }}

    ),

    {{ mart }}_known as (

        select
            days.{{ entity_id }} as entity_id,
            days.known_date,
            days.n_said,
            days.event_timestamp,
            coalesce(known_before.n_known, 0)
            + sum(days.n_new) over (partition by days.{{ entity_id }} order by days.known_date) as n_known
        from {{ mart }}_days as days
        left join {{ mart }}_before as known_before on days.{{ entity_id }} = known_before.{{ entity_id }}

    ),

    {{ mart }}_of_another_time as (

        select
            '{{ mart }}' as mart,
            entity_id,
            event_timestamp
        from {{ mart }}_known
        where
            n_said is not null
            and (n_said != n_known or event_timestamp is distinct from {{ end_of_day("known_date") }})

    )
    {{- "," if not loop.last }}
{%- endfor %}

select * from states_of_another_time_or_size
union all
select * from events_from_the_future
{%- for mart, _, _, _ in daily_marts %}
    union all
    select * from {{ mart }}_of_another_time
{%- endfor %}
