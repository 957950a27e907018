{#- Whether an interaction gives a purchase back: a source with cancellations writes them with a negative quantity. -#}
{% macro is_return(event_type, value) -%}
    ({{ event_type }} = 'purchase' and coalesce({{ value }} < 0, false))
{%- endmacro %}

{#-
  How much an interaction says that the user wants such things. Decimals, because their sums do not depend on the order
  of the rows.
-#}
{% macro event_weight(event_type) -%}
    {%- set cases = [] -%}
    {%- for name, weight in var("event_weights").items() -%}
        {%- do cases.append("when " ~ event_type ~ " = '" ~ name ~ "' then " ~ weight) -%}
    {%- endfor -%}
    cast(case {{ cases | join(" ") }} end as decimal(18, 6))
{%- endmacro %}
