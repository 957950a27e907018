with users as (

    select * from {{ ref("int_users") }}

),

events as (

    select * from {{ ref("int_events") }}

),

-- The later of any two declarations, by the same rule as in `dim_users`.
ranked as (

    select
        *,
        greatest(coalesce(created_at, received_at), received_at) as valid_from,
        row_number() over (
            partition by user_id order by received_at asc, source desc, source_file desc, source_line asc
        ) as precedence
    from users

),

latest_at_their_time as (

    select *
    from ranked
    qualify precedence = max(precedence) over (
        partition by user_id order by valid_from range between unbounded preceding and current row
    )

),

-- Most users act before anybody declares them.
first_seen as (

    select
        user_id,
        min(known_at) as valid_from
    from events
    group by user_id

),

first_declared as (

    select
        user_id,
        min(valid_from) as valid_from
    from latest_at_their_time
    group by user_id

),

undeclared as (

    select
        first_seen.user_id,
        first_seen.valid_from
    from first_seen
    left join first_declared on first_seen.user_id = first_declared.user_id
    where first_declared.user_id is null or first_seen.valid_from < first_declared.valid_from

),

all_versions as (

    select
        user_id,
        attributes,
        created_at,
        valid_from
    from latest_at_their_time

    union all

    select
        user_id,
        '{}' as attributes,
        null as created_at,
        valid_from
    from undeclared

),

fingerprinted as (

    select
        *,
        {{ fingerprint(["attributes", "created_at"]) }} as content
    from all_versions

),

changes as (

    select *
    from fingerprinted
    qualify content is distinct from lag(content) over (partition by user_id order by valid_from)

),

versions as (

    select
        user_id,
        attributes,
        created_at,
        valid_from,
        lead(valid_from) over (partition by user_id order by valid_from) as valid_to
    from changes

)

select * from versions
