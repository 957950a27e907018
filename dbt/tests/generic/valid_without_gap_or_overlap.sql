{#- Every entity has one row for each moment since its first: a row ends where the next begins, the last one never. -#}
{% test valid_without_gap_or_overlap(model, entity) %}

with versions as (

    select
        {{ entity }},
        valid_from,
        valid_to,
        lead(valid_from) over (partition by {{ entity }} order by valid_from) as next_valid_from
    from {{ model }}

)

select *
from versions
where valid_to is distinct from next_valid_from or valid_from >= valid_to

{% endtest %}
