{#-
  What warehouses spell differently, each in one place. `default__` is standard SQL, `duckdb__` and `spark__` are for what
  the standard does not say; dbt picks by the target. On Spark the session's time zone must be UTC, as it is on DuckDB.
-#}

{#- The day in UTC on which a moment lies. -#}
{% macro utc_date(moment) -%}
    {{ adapter.dispatch("utc_date", "freshet")(moment) }}
{%- endmacro %}

{% macro default__utc_date(moment) -%}
    cast({{ moment }} at time zone 'UTC' as date)
{%- endmacro %}

{#- Twenty times as fast as by way of a time zone. -#}
{% macro duckdb__utc_date(moment) -%}
    cast(make_timestamp(epoch_us({{ moment }})) as date)
{%- endmacro %}

{% macro spark__utc_date(moment) -%}
    cast({{ moment }} as date)
{%- endmacro %}


{#- The moment in UTC at which a day is over: from then on, all of it is known. -#}
{% macro end_of_day(day) -%}
    {{ adapter.dispatch("end_of_day", "freshet")(day) }}
{%- endmacro %}

{% macro default__end_of_day(day) -%}
    (cast({{ day }} as timestamp) + interval '1' day) at time zone 'UTC'
{%- endmacro %}

{% macro spark__end_of_day(day) -%}
    cast({{ day }} as timestamp) + interval '1' day
{%- endmacro %}


{#- The moment in UTC at which a day begins. -#}
{% macro start_of_day(day) -%}
    {{ end_of_day(plus_days(day, -1)) }}
{%- endmacro %}


{#- So many days later; both may be columns. -#}
{% macro plus_days(day, n_days) -%}
    {{ adapter.dispatch("plus_days", "freshet")(day, n_days) }}
{%- endmacro %}

{% macro default__plus_days(day, n_days) -%}
    cast({{ day }} + {{ n_days }} as date)
{%- endmacro %}

{% macro spark__plus_days(day, n_days) -%}
    date_add({{ day }}, {{ n_days }})
{%- endmacro %}


{#- So many minutes later. -#}
{% macro plus_minutes(moment, n_minutes) -%}
    {{ moment }} + interval '{{ n_minutes }}' minute
{%- endmacro %}


{#- Microseconds since 1970, exactly, as a 64-bit integer. -#}
{% macro microseconds(moment) -%}
    {{ adapter.dispatch("microseconds", "freshet")(moment) }}
{%- endmacro %}

{% macro duckdb__microseconds(moment) -%}
    cast(epoch_us({{ moment }}) as bigint)
{%- endmacro %}

{% macro spark__microseconds(moment) -%}
    unix_micros({{ moment }})
{%- endmacro %}


{#- One field of a JSON text as an integer; null where it is missing or no integer. -#}
{% macro json_integer(json_text, field) -%}
    {{ adapter.dispatch("json_integer", "freshet")(json_text, field) }}
{%- endmacro %}

{% macro duckdb__json_integer(json_text, field) -%}
    try_cast(json_extract_string({{ json_text }}, '$.{{ field }}') as integer)
{%- endmacro %}

{% macro spark__json_integer(json_text, field) -%}
    try_cast(get_json_object({{ json_text }}, '$.{{ field }}') as integer)
{%- endmacro %}


{#- How many elements a list within a JSON text has; null where there is none. -#}
{% macro json_list_length(json_text, field) -%}
    {{ adapter.dispatch("json_list_length", "freshet")(json_text, field) }}
{%- endmacro %}

{% macro duckdb__json_list_length(json_text, field) -%}
    cast(json_array_length({{ json_text }}, '$.{{ field }}') as bigint)
{%- endmacro %}

{% macro spark__json_list_length(json_text, field) -%}
    json_array_length(get_json_object({{ json_text }}, '$.{{ field }}'))
{%- endmacro %}


{#- A short text that is the same for rows that say the same in these columns, nulls included. -#}
{% macro fingerprint(columns) -%}
    {{ adapter.dispatch("fingerprint", "freshet")(columns) }}
{%- endmacro %}

{% macro duckdb__fingerprint(columns) -%}
    {%- set fields = [] -%}
    {%- for column in columns -%}
        {%- do fields.append(column ~ ": " ~ column) -%}
    {%- endfor -%}
    md5(cast(to_json({{ "{" ~ fields | join(", ") ~ "}" }}) as varchar))
{%- endmacro %}

{% macro spark__fingerprint(columns) -%}
    md5(to_json(struct({{ columns | join(", ") }})))
{%- endmacro %}


{#-
  A group's rows as one list of records, sorted by their fields from the first on, of which the first few must be unique.
  Five times as fast as an ordered aggregate for each field.
-#}
{% macro sorted_records(fields) -%}
    {{ adapter.dispatch("sorted_records", "freshet")(fields) }}
{%- endmacro %}

{% macro duckdb__sorted_records(fields) -%}
    {%- set records = [] -%}
    {%- for name, value in fields.items() -%}
        {%- do records.append(name ~ ": " ~ value) -%}
    {%- endfor -%}
    list_sort(list({{ "{" ~ records | join(", ") ~ "}" }}))
{%- endmacro %}

{% macro spark__sorted_records(fields) -%}
    {%- set records = [] -%}
    {%- for name, value in fields.items() -%}
        {%- do records.append(value ~ " as " ~ name) -%}
    {%- endfor -%}
    sort_array(collect_list(struct({{ records | join(", ") }})))
{%- endmacro %}


{#- Parallel lists as one list of records, the other way round than `field_of_records`. -#}
{% macro records_of_lists(fields) -%}
    {{ adapter.dispatch("records_of_lists", "freshet")(fields) }}
{%- endmacro %}

{% macro duckdb__records_of_lists(fields) -%}
    {%- set records = [] -%}
    {%- for name, list in fields.items() -%}
        {%- do records.append(name ~ ": " ~ list ~ "[place]") -%}
    {%- endfor -%}
    list_transform(range(1, len({{ fields.values() | first }}) + 1), lambda place: {{ "{" ~ records | join(", ") ~ "}" }})
{%- endmacro %}

{% macro spark__records_of_lists(fields) -%}
    arrays_zip(
        {%- for name, list in fields.items() %}{{ list }} as {{ name }}{{ ", " if not loop.last }}{% endfor -%}
    )
{%- endmacro %}


{#- In a group: all that its lists hold, each value once, sorted. -#}
{% macro sorted_union(list) -%}
    {{ adapter.dispatch("sorted_union", "freshet")(list) }}
{%- endmacro %}

{% macro duckdb__sorted_union(list) -%}
    list_sort(list_distinct(flatten(list({{ list }}))))
{%- endmacro %}

{% macro spark__sorted_union(list) -%}
    array_sort(array_distinct(flatten(collect_list({{ list }}))))
{%- endmacro %}


{#- The last records of a list, at most so many. -#}
{% macro last_records(records, n_records) -%}
    {{ adapter.dispatch("last_records", "freshet")(records, n_records) }}
{%- endmacro %}

{% macro duckdb__last_records(records, n_records) -%}
    list_slice({{ records }}, -{{ n_records }}, -1)
{%- endmacro %}

{% macro spark__last_records(records, n_records) -%}
    slice({{ records }}, greatest(1, size({{ records }}) - {{ n_records }} + 1), {{ n_records }})
{%- endmacro %}


{#- One field of every record, as a list in the same order, nulls kept. -#}
{% macro field_of_records(records, field) -%}
    {{ adapter.dispatch("field_of_records", "freshet")(records, field) }}
{%- endmacro %}

{% macro duckdb__field_of_records(records, field) -%}
    list_transform({{ records }}, lambda record: record.{{ field }})
{%- endmacro %}

{% macro spark__field_of_records(records, field) -%}
    transform({{ records }}, record -> record.{{ field }})
{%- endmacro %}


{#- A list of the contract's names as SQL literals: ('click', 'view'). -#}
{% macro literals(names) -%}
    ('{{ names | join("', '") }}')
{%- endmacro %}


{#- The different values of a group, sorted. -#}
{% macro sorted_distinct(value) -%}
    {{ adapter.dispatch("sorted_distinct", "freshet")(value) }}
{%- endmacro %}

{% macro duckdb__sorted_distinct(value) -%}
    list_sort(list(distinct {{ value }}))
{%- endmacro %}

{% macro spark__sorted_distinct(value) -%}
    sort_array(collect_set({{ value }}))
{%- endmacro %}


{#- A row for each element of a list. -#}
{% macro unnested(list) -%}
    {{ adapter.dispatch("unnested", "freshet")(list) }}
{%- endmacro %}

{% macro default__unnested(list) -%}
    unnest({{ list }})
{%- endmacro %}

{% macro spark__unnested(list) -%}
    explode({{ list }})
{%- endmacro %}


{#- A list without elements. -#}
{% macro empty_list() -%}
    {{ adapter.dispatch("empty_list", "freshet")() }}
{%- endmacro %}

{% macro duckdb__empty_list() -%}
    []
{%- endmacro %}

{% macro spark__empty_list() -%}
    array()
{%- endmacro %}


{#- From one day to another, in days. -#}
{% macro days_between(first_day, last_day) -%}
    {{ adapter.dispatch("days_between", "freshet")(first_day, last_day) }}
{%- endmacro %}

{% macro default__days_between(first_day, last_day) -%}
    ({{ last_day }} - {{ first_day }})
{%- endmacro %}

{% macro spark__days_between(first_day, last_day) -%}
    datediff({{ last_day }}, {{ first_day }})
{%- endmacro %}


{#- From one moment to another, in seconds with fractions. -#}
{% macro seconds_between(first_moment, last_moment) -%}
    ({{ microseconds(last_moment) }} - {{ microseconds(first_moment) }}) / 1000000.0
{%- endmacro %}
