{#- No two rows agree in all these columns. -#}
{% test unique_together(model, columns) %}

select
    {{ columns | join(", ") }},
    count(*) as n_rows
from {{ model }}
where {{ rows_to_test(model, columns) }}
group by {{ columns | join(", ") }}
having count(*) > 1

{% endtest %}

{#- dbt's own test of a key, but for rows that earlier builds have tested. -#}
{% test unique(model, column_name) %}

select
    {{ column_name }},
    count(*) as n_rows
from {{ model }}
where {{ rows_to_test(model, [column_name]) }}
group by {{ column_name }}
having {{ column_name }} is not null and count(*) > 1

{% endtest %}
