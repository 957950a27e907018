{#- What another warehouse spells differently, each in one place. -#}

{#- The day in UTC on which a moment lies. -#}
{% macro utc_date(moment) -%}
    cast({{ moment }} at time zone 'UTC' as date)
{%- endmacro %}

{#- The moment in UTC at which a day is over: from then on, all of it is known. -#}
{% macro end_of_day(day) -%}
    (cast({{ day }} as timestamp) + interval '1 day') at time zone 'UTC'
{%- endmacro %}

{#- So many days later. -#}
{% macro plus_days(day, n_days) -%}
    cast({{ day }} + {{ n_days }} as date)
{%- endmacro %}

{#- So many minutes later. -#}
{% macro plus_minutes(moment, n_minutes) -%}
    {{ moment }} + interval '{{ n_minutes }} minutes'
{%- endmacro %}

{#- Microseconds since 1970, exactly, as a 64-bit integer. -#}
{% macro microseconds(moment) -%}
    cast(epoch_us({{ moment }}) as bigint)
{%- endmacro %}

{#- One field of a JSON text as an integer; null where it is missing or no integer. -#}
{% macro json_integer(json_text, field) -%}
    try_cast(json_extract_string({{ json_text }}, '$.{{ field }}') as integer)
{%- endmacro %}

{#-
  A group's rows as one list of records, sorted by their fields from the first on, of which the first few must be unique.
  Five times as fast as an ordered aggregate for each field.
-#}
{% macro sorted_records(fields) -%}
    {%- set records = [] -%}
    {%- for name, value in fields.items() -%}
        {%- do records.append(name ~ ": " ~ value) -%}
    {%- endfor -%}
    list_sort(list({{ "{" ~ records | join(", ") ~ "}" }}))
{%- endmacro %}

{#- The last records of a list, at most so many. -#}
{% macro last_records(records, n_records) -%}
    list_slice({{ records }}, -{{ n_records }}, -1)
{%- endmacro %}

{#- The records of which a condition on `record` is true, in the same order. -#}
{% macro filtered_records(records, condition) -%}
    list_filter({{ records }}, lambda record: {{ condition }})
{%- endmacro %}

{#- One field of every record, as a list in the same order, nulls kept. -#}
{% macro field_of_records(records, field) -%}
    list_transform({{ records }}, lambda record: record.{{ field }})
{%- endmacro %}

{#- A list of the contract's names as SQL literals: ('click', 'view'). -#}
{% macro literals(names) -%}
    ('{{ names | join("', '") }}')
{%- endmacro %}

{#- A short text that is the same for rows that say the same in these columns, nulls included. -#}
{% macro fingerprint(columns) -%}
    {%- set fields = [] -%}
    {%- for column in columns -%}
        {%- do fields.append(column ~ ": " ~ column) -%}
    {%- endfor -%}
    md5(cast(to_json({{ "{" ~ fields | join(", ") ~ "}" }}) as varchar))
{%- endmacro %}
