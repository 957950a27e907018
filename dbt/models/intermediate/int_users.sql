with users as (

    select * from {{ ref("stg_lake__users") }}

),

users_of_today as (

    select users.*
    from users
    where not {{ is_erased("users.user_id", "users.received_at") }}

)

select * from users_of_today
