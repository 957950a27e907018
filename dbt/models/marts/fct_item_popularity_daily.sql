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
    group by 1, 2

),

-- A day's interactions enter all four counts at once and leave each when its window has passed them.
changes as (
    {% for days_later, in_1d, in_7d, in_30d, in_total in [(0, 1, 1, 1, 1), (1, -1, 0, 0, 0), (7, 0, -1, 0, 0), (30, 0, 0, -1, 0)] %}
        select
            item_id,
            cast({{ dbt.dateadd("day", days_later, "known_date") }} as date) as popularity_date,
            {{ in_1d }} * n_interactions as change_1d,
            {{ in_7d }} * n_interactions as change_7d,
            {{ in_30d }} * n_interactions as change_30d,
            {{ in_total }} * n_interactions as change_total
        from daily_counts
        {{ "union all" if not loop.last }}
    {% endfor %}
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
