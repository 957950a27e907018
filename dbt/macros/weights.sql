{#- Whether an interaction gives a purchase back: a source with cancellations writes them with a negative quantity. -#}
{% macro is_return(event_type, value) -%}
    ({{ event_type }} = 'purchase' and coalesce({{ value }} < 0, false))
{%- endmacro %}

{#- What a purchase adds to the number of purchases: a return takes one away. -#}
{% macro net_purchase(event_type, value) -%}
    case
        when {{ is_return(event_type, value) }} then -1
        when {{ event_type }} = 'purchase' then 1
        else 0
    end
{%- endmacro %}

{#-
  How much an interaction says that the user wants such things; a return takes back what its purchase gave. Decimals,
  because their sums do not depend on the order of the rows.
-#}
{% macro event_weight(event_type, value) -%}
    {%- set weights = var("event_weights") -%}
    {%- set cases = ["when " ~ is_return(event_type, value) ~ " then " ~ -weights["purchase"]] -%}
    {%- for name, weight in weights.items() -%}
        {%- do cases.append("when " ~ event_type ~ " = '" ~ name ~ "' then " ~ weight) -%}
    {%- endfor -%}
    cast(case {{ cases | join(" ") }} end as decimal(18, 6))
{%- endmacro %}
