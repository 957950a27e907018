{#-
  The counts of `fct_item_popularity_daily` and `fct_user_activity_daily`, up to the step `counts_after_change`: how a
  day's interactions change them as days go by. Interactions enter all four counts at once, and leave each when its
  window has passed them. Summed up, the changes are the counts; between two changes nothing happens, so no row is needed.

  Of an entity (an item or a user) with new interactions, the days from the first of these on are counted anew; what
  stood before holds (`counts_before`), and the last 30 days before are looked at again because they are yet to leave.
-#}
{% macro window_counts(entity_id, date_column, condition="true", has_active_days=false) -%}
with first_new_days as (

    select
        {{ entity_id }},
        min({{ utc_date("known_at") }}) as first_date
    from {{ ref("fct_interactions") }}
    where {{ condition }} and {{ is_new() }}
    group by {{ entity_id }}

),

counts_before as (

    {% if is_incremental() -%}
        select
            known.{{ entity_id }},
            known.n_interactions_total,
            {{ "known.n_active_days" if has_active_days else 0 }} as n_active_days,
            {{ "known.last_interaction_at" if has_active_days else "null" }} as last_interaction_at
        from {{ this }} as known
        inner join first_new_days on known.{{ entity_id }} = first_new_days.{{ entity_id }}
        where known.{{ date_column }} < {{ plus_days("first_new_days.first_date", -30) }}
        qualify row_number() over (partition by known.{{ entity_id }} order by known.{{ date_column }} desc) = 1
    {%- else -%}
        select
            {{ entity_id }},
            0 as n_interactions_total,
            0 as n_active_days,
            null as last_interaction_at
        from first_new_days
        where false
    {%- endif %}

),

daily_counts as (

    select
        interactions.{{ entity_id }},
        first_new_days.first_date,
        {{ utc_date("interactions.known_at") }} as known_date,
        count(*) as n_interactions,
        -- Feast keeps moments in whole seconds; so do the marts, that online and offline agree.
        date_trunc('second', max(interactions.occurred_at)) as last_interaction_at
    from {{ ref("fct_interactions") }} as interactions
    inner join first_new_days on interactions.{{ entity_id }} = first_new_days.{{ entity_id }}
    where
        {{ condition }}
        and interactions.known_at >= {{ start_of_day(plus_days("first_new_days.first_date", -30)) }}
    group by interactions.{{ entity_id }}, first_new_days.first_date, known_date

),

steps as (

    select * from (
        values (0, 1, 1, 1, 1), (1, -1, 0, 0, 0), (7, 0, -1, 0, 0), (30, 0, 0, -1, 0)
    ) as steps (n_days_later, step_1d, step_7d, step_30d, step_total)

),

changes_per_day as (

    select
        daily_counts.{{ entity_id }},
        daily_counts.first_date,
        {{ plus_days("daily_counts.known_date", "steps.n_days_later") }} as {{ date_column }},
        sum(daily_counts.n_interactions * steps.step_1d) as change_1d,
        sum(daily_counts.n_interactions * steps.step_7d) as change_7d,
        sum(daily_counts.n_interactions * steps.step_30d) as change_30d,
        sum(daily_counts.n_interactions * steps.step_total) as change_total,
        sum(steps.step_total) as change_active_days,
        max(daily_counts.last_interaction_at) as last_interaction_at
    from daily_counts
    cross join steps
    group by all

),

counts as (

    select
        changes_per_day.{{ entity_id }},
        changes_per_day.first_date,
        changes_per_day.{{ date_column }},
        {{ end_of_day("changes_per_day." ~ date_column) }} as event_timestamp,
        cast(sum(changes_per_day.change_1d) over days_so_far as bigint) as n_interactions_1d,
        cast(sum(changes_per_day.change_7d) over days_so_far as bigint) as n_interactions_7d,
        cast(sum(changes_per_day.change_30d) over days_so_far as bigint) as n_interactions_30d,
        cast(
            coalesce(counts_before.n_interactions_total, 0) + sum(changes_per_day.change_total) over days_so_far
            as bigint
        ) as n_interactions_total,
        cast(
            coalesce(counts_before.n_active_days, 0) + sum(changes_per_day.change_active_days) over days_so_far
            as bigint
        ) as n_active_days,
        greatest(
            cast(counts_before.last_interaction_at as timestamptz), max(changes_per_day.last_interaction_at) over days_so_far
        ) as last_interaction_at
    from changes_per_day
    left join counts_before on changes_per_day.{{ entity_id }} = counts_before.{{ entity_id }}
    window
        days_so_far as (
            partition by changes_per_day.{{ entity_id }} order by changes_per_day.{{ date_column }}
            rows between unbounded preceding and current row
        )

),

counts_after_change as (

    select *
    from counts
    where {{ date_column }} >= first_date

)
{%- endmacro %}
