{#-
  How a day's interactions change the four counts as days go by: they enter all of them at once, and leave each when its
  window has passed them. Summed up, the changes are the counts; between two changes nothing happens, so no row is needed.
-#}
{% macro window_steps() -%}
    select * from (
        values (0, 1, 1, 1, 1), (1, -1, 0, 0, 0), (7, 0, -1, 0, 0), (30, 0, 0, -1, 0)
    ) as steps (n_days_later, step_1d, step_7d, step_30d, step_total)
{%- endmacro %}
