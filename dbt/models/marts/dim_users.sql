with users as (

    select * from {{ ref("int_users") }}

),

events as (

    select * from {{ ref("int_events") }}

),

declared as (

    select *
    from users
    qualify row_number() over (
        partition by user_id order by received_at desc, source asc, source_file asc, source_line desc
    ) = 1

),

seen_in_events as (

    select distinct user_id from events

),

all_users as (

    select
        coalesce(declared.user_id, seen_in_events.user_id) as user_id,
        coalesce(declared.attributes, '{}') as attributes,
        declared.created_at
    from declared
    full outer join seen_in_events on declared.user_id = seen_in_events.user_id

)

select * from all_users
