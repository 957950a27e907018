-- What is valid without end is what the dimensions say, for every item and every user.
(
    select
        item_id as entity_id,
        title as content
    from {{ ref("dim_items") }}
    except
    select
        item_id,
        title
    from {{ ref("dim_item_versions") }}
    where valid_to is null
)
union all
(
    select
        user_id as entity_id,
        attributes as content
    from {{ ref("dim_users") }}
    except
    select
        user_id,
        attributes
    from {{ ref("dim_user_versions") }}
    where valid_to is null
)
