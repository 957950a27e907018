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
        min(occurred_at) as met_at
    from interactions
    where not is_negative
    group by user_id, session_number, item_id

),

weighed as (

    select
        items_of_sessions.*,
        user_items.weight,
        user_items.known_at
    from items_of_sessions
    inner join {{ ref("int_interactions_accumulated") }} as user_items
        on items_of_sessions.user_id = user_items.user_id and items_of_sessions.item_id = user_items.item_id

),

-- A session of thousands of items is a crawl, and its pairs would cost their square: the first items count.
placed as (

    select
        user_id,
        session_number,
        item_id,
        row_number() over (partition by user_id, session_number order by met_at, item_id) as place
    from weighed
    -- What the user hid or gave back, whenever that was, they did not want: it says nothing about its company.
    where weight > 0

),

bounded as (

    select *
    from placed
    where place <= {{ var("max_session_items") }}

),

sessions_per_item as (

    select
        item_id,
        count(*) as n_sessions
    from bounded
    group by item_id

),

newest_per_item as (

    select
        item_id,
        max(known_at) as known_at
    from weighed
    group by item_id

),

-- Pairs of numbers are counted several times as fast as pairs of ids.
items as (

    select
        sessions_per_item.item_id,
        sessions_per_item.n_sessions,
        newest_per_item.known_at,
        cast(row_number() over (order by sessions_per_item.item_id) as integer) as item_number
    from sessions_per_item
    inner join newest_per_item on sessions_per_item.item_id = newest_per_item.item_id

),

numbered as (

    select
        bounded.user_id,
        bounded.session_number,
        items.item_number
    from bounded
    inner join items on bounded.item_id = items.item_id

),

pairs as (

    select
        numbered.item_number,
        others.item_number as other_number,
        count(*) as n_sessions_together
    from numbered
    inner join numbered as others
        on
            numbered.user_id = others.user_id
            and numbered.session_number = others.session_number
            and numbered.item_number < others.item_number
    group by numbered.item_number, others.item_number

),

scored as (

    select
        pairs.item_number,
        pairs.other_number,
        pairs.n_sessions_together,
        pairs.n_sessions_together / sqrt(items.n_sessions * others.n_sessions) as similarity
    from pairs
    inner join items on pairs.item_number = items.item_number
    inner join items as others on pairs.other_number = others.item_number

),

-- Each is the other's neighbour.
directed as (

    select
        item_number,
        other_number as neighbour_number,
        similarity,
        n_sessions_together
    from scored

    union all

    select
        other_number as item_number,
        item_number as neighbour_number,
        similarity,
        n_sessions_together
    from scored

),

-- The numbers are in the order of the ids, so that equals are ranked by id.
ranked as (

    select
        *,
        row_number() over (
            partition by item_number order by similarity desc, n_sessions_together desc, neighbour_number asc
        ) as neighbour_rank
    from directed

),

nearest as (

    select
        items.item_id,
        ranked.neighbour_rank,
        neighbours.item_id as neighbour_id,
        greatest(items.known_at, neighbours.known_at) as event_timestamp,
        ranked.similarity,
        ranked.n_sessions_together
    from ranked
    inner join items on ranked.item_number = items.item_number
    inner join items as neighbours on ranked.neighbour_number = neighbours.item_number
    where ranked.neighbour_rank <= {{ var("max_item_neighbours") }}

)

select * from nearest
