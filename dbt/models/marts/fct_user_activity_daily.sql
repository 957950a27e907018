with interactions as (

    select * from {{ ref("fct_interactions") }}

),

active_days as (

    select
        user_id,
        {{ utc_date("known_at") }} as known_date,
        count(*) as n_interactions,
        -- Feast keeps moments in whole seconds; so does the mart, that online and offline agree.
        max(date_trunc('second', occurred_at)) as last_interaction_at
    from interactions
    group by user_id, known_date

),

steps as (

    {{ window_steps() }}

),

changes as (

    select
        active_days.user_id,
        {{ plus_days("active_days.known_date", "steps.n_days_later") }} as activity_date,
        active_days.n_interactions * steps.step_1d as change_1d,
        active_days.n_interactions * steps.step_7d as change_7d,
        active_days.n_interactions * steps.step_30d as change_30d,
        active_days.n_interactions * steps.step_total as change_total,
        steps.step_total as change_active_days,
        active_days.last_interaction_at
    from active_days
    cross join steps

),

changes_per_day as (

    select
        user_id,
        activity_date,
        sum(change_1d) as change_1d,
        sum(change_7d) as change_7d,
        sum(change_30d) as change_30d,
        sum(change_total) as change_total,
        sum(change_active_days) as change_active_days,
        max(last_interaction_at) as last_interaction_at
    from changes
    group by user_id, activity_date

),

activity_after_change as (

    select
        user_id,
        activity_date,
        {{ end_of_day("activity_date") }} as event_timestamp,
        cast(sum(change_1d) over days_so_far as bigint) as n_interactions_1d,
        cast(sum(change_7d) over days_so_far as bigint) as n_interactions_7d,
        cast(sum(change_30d) over days_so_far as bigint) as n_interactions_30d,
        cast(sum(change_total) over days_so_far as bigint) as n_interactions_total,
        cast(sum(change_active_days) over days_so_far as bigint) as n_active_days,
        max(last_interaction_at) over days_so_far as last_interaction_at
    from changes_per_day
    window
        days_so_far as (
            partition by user_id order by activity_date rows between unbounded preceding and current row
        )

)

select * from activity_after_change
