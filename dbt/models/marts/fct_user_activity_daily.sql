with interactions as (

    select * from {{ ref("fct_interactions") }}

),

active_days as (

    select
        user_id,
        {{ utc_date("known_at") }} as known_date,
        count(*) as n_interactions,
        max(occurred_at) as last_interaction_at
    from interactions
    group by 1, 2

),

-- A day's interactions enter all four counts at once and leave each when its window has passed them.
changes as (
    {% for days_later, in_1d, in_7d, in_30d, in_total in [(0, 1, 1, 1, 1), (1, -1, 0, 0, 0), (7, 0, -1, 0, 0), (30, 0, 0, -1, 0)] %}
        select
            user_id,
            cast({{ dbt.dateadd("day", days_later, "known_date") }} as date) as activity_date,
            {{ in_1d }} * n_interactions as change_1d,
            {{ in_7d }} * n_interactions as change_7d,
            {{ in_30d }} * n_interactions as change_30d,
            {{ in_total }} * n_interactions as change_total,
            {{ in_total }} as change_active_days,
            last_interaction_at
        from active_days
        {{ "union all" if not loop.last }}
    {% endfor %}
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
