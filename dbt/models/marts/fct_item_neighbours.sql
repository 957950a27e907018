with sessions as (

    select * from {{ ref("fct_sessions") }}

),

newest_sessions as (

    select
        user_id,
        session_number,
        started_at
    from sessions
    order by ended_at desc, user_id asc, session_number asc
    limit {{ var("max_neighbour_sessions") }}

),

oldest as (

    select min(started_at) as started_at from newest_sessions

),

-- The comparison says nothing new, but lets the warehouse leave older rows alone.
interactions as (

    select all_interactions.*
    from {{ ref("fct_interactions") }} as all_interactions
    cross join oldest
    inner join newest_sessions
        on
            all_interactions.user_id = newest_sessions.user_id
            and all_interactions.session_number = newest_sessions.session_number
    where all_interactions.occurred_at >= oldest.started_at

),

items_of_sessions as (

    select
        user_id,
        session_number,
        item_id,
        min(occurred_at) as met_at,
        sum({{ event_weight("event_type", "value") }}) as weight
    from interactions
    group by user_id, session_number, item_id

),

-- What the user hid or gave back, in any of their sessions, they did not want: it says nothing about its company.
weighed as (

    select
        *,
        sum(weight) over (partition by user_id, item_id) as weight_of_user
    from items_of_sessions

),

-- A session of thousands of items is a crawl, and its pairs would cost their square: the first items count.
placed as (

    select
        *,
        row_number() over (partition by user_id, session_number order by met_at, item_id) as place
    from weighed
    where weight > 0 and weight_of_user > 0

),

bounded as (

    select *
    from placed
    where place <= {{ var("max_session_items") }}

),

items as (

    select
        item_id,
        count(*) as n_sessions
    from bounded
    group by item_id

),

newest as (

    select
        item_id,
        max(known_at) as known_at
    from interactions
    group by item_id

),

-- Each pair once: the other direction is its mirror.
pairs as (

    select
        earlier.item_id as first_item_id,
        later.item_id as second_item_id,
        count(*) as n_sessions_together
    from bounded as earlier
    inner join bounded as later
        on
            earlier.user_id = later.user_id
            and earlier.session_number = later.session_number
            and earlier.item_id < later.item_id
    group by earlier.item_id, later.item_id

),

directed as (

    select
        first_item_id as item_id,
        second_item_id as neighbour_id,
        n_sessions_together
    from pairs

    union all

    select
        second_item_id as item_id,
        first_item_id as neighbour_id,
        n_sessions_together
    from pairs

),

scored as (

    select
        directed.item_id,
        directed.neighbour_id,
        directed.n_sessions_together,
        directed.n_sessions_together / sqrt(items.n_sessions * neighbours.n_sessions) as similarity,
        greatest(newest.known_at, newest_of_neighbours.known_at) as event_timestamp
    from directed
    inner join items on directed.item_id = items.item_id
    inner join items as neighbours on directed.neighbour_id = neighbours.item_id
    inner join newest on directed.item_id = newest.item_id
    inner join newest as newest_of_neighbours on directed.neighbour_id = newest_of_neighbours.item_id

),

ranked as (

    select
        item_id,
        row_number() over (
            partition by item_id order by similarity desc, n_sessions_together desc, neighbour_id asc
        ) as neighbour_rank,
        neighbour_id,
        event_timestamp,
        similarity,
        n_sessions_together
    from scored

),

nearest as (

    select *
    from ranked
    where neighbour_rank <= {{ var("max_item_neighbours") }}

)

select * from nearest
