with interactions as (

    select * from {{ ref("fct_interactions") }}

),

daily_counts as (

    select
        item_id,
        {{ utc_date("known_at") }} as known_date,
        count(*) as n_interactions
    from interactions
    where not is_negative
    group by item_id, known_date

),

steps as (

    {{ window_steps() }}

),

changes as (

    select
        daily_counts.item_id,
        {{ plus_days("daily_counts.known_date", "steps.n_days_later") }} as popularity_date,
        daily_counts.n_interactions * steps.step_1d as change_1d,
        daily_counts.n_interactions * steps.step_7d as change_7d,
        daily_counts.n_interactions * steps.step_30d as change_30d,
        daily_counts.n_interactions * steps.step_total as change_total
    from daily_counts
    cross join steps

),

changes_per_day as (

    select
        item_id,
        popularity_date,
        sum(change_1d) as change_1d,
        sum(change_7d) as change_7d,
        sum(change_30d) as change_30d,
        sum(change_total) as change_total
    from changes
    group by item_id, popularity_date

),

counts_after_change as (

    select
        item_id,
        popularity_date,
        {{ end_of_day("popularity_date") }} as event_timestamp,
        cast(sum(change_1d) over days_so_far as bigint) as n_interactions_1d,
        cast(sum(change_7d) over days_so_far as bigint) as n_interactions_7d,
        cast(sum(change_30d) over days_so_far as bigint) as n_interactions_30d,
        cast(sum(change_total) over days_so_far as bigint) as n_interactions_total
    from changes_per_day
    window
        days_so_far as (
            partition by item_id order by popularity_date rows between unbounded preceding and current row
        )

)

select * from counts_after_change
