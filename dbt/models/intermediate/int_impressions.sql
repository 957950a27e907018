{{ config(materialized="incremental", unique_key=["recommendation_id", "user_id", "item_id"]) }}

with new_impressions as (

    select
        recommendation_id,
        user_id,
        item_id,
        event_id as impression_event_id,
        ingestion_id,
        {{ json_integer("properties", "rank") }} as impression_rank,
        occurred_at
    from {{ ref("int_events") }}
    where event_type = 'impression' and recommendation_id is not null and {{ is_new() }}

),

reports as (

    select * from new_impressions

    {% if is_incremental() %}
        union all

        select known.*
        from {{ this }} as known
        where
            exists (
                select 1
                from new_impressions
                where
                    new_impressions.recommendation_id = known.recommendation_id
                    and new_impressions.user_id = known.user_id
                    and new_impressions.item_id = known.item_id
            )
    {% endif %}

),

first_reports as (

    select *
    from reports
    qualify row_number() over (
        partition by recommendation_id, user_id, item_id order by occurred_at, impression_event_id
    ) = 1

)

select * from first_reports
