{#-
  Incremental by arrival.

  An ingestion arrives whole and never changes, so a model is up to date when it has processed every ingestion in the
  ledger, whatever days their events are about. Which ones it has processed stands in one table, written in the
  transaction that writes the model's rows: a killed run leaves both as they were.
-#}
{% macro processed_ingestions() -%}
    {{ target.schema }}.processed_ingestions
{%- endmacro %}

{% macro create_processed_ingestions() %}
    create table if not exists {{ processed_ingestions() }} (
        model_name varchar, ingestion_id varchar, invocation_id varchar
    )
{% endmacro %}

{#-
  Before an incremental model is built: from nothing, it has processed nothing; upon what is there, it must be known what
  that rests on, or everything would be taken for new and counted twice.
-#}
{% macro forget_ingestions() %}
    {%- if model.config.materialized == "incremental" -%}
        {%- if not is_incremental() -%}
            delete from {{ processed_ingestions() }} where model_name = '{{ this.name }}'
        {%- elif execute and not run_query(ingestions_processed_by(this.name)).rows -%}
            {{ exceptions.raise_compiler_error(
                this.name ~ " was built by another Freshet: run `freshet transform --full-refresh` once"
            ) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#-
  After an incremental model's rows are written: what was new to it is so no more. No ref(), which dbt does not accept in
  a conditional hook: all rows come from staging models, which do depend on the ledger.
-#}
{% macro remember_ingestions() %}
    {%- if model.config.materialized == "incremental" -%}
        insert into {{ processed_ingestions() }}
        select distinct '{{ this.name }}', ingestion_id, '{{ invocation_id }}'
        from {{ target.schema }}.stg_lake__ingestions
        where ingestion_id not in ({{ ingestions_processed_by(this.name) }})
    {%- endif -%}
{% endmacro %}

{% macro ingestions_processed_by(model_name) -%}
    select ingestion_id from {{ processed_ingestions() }} where model_name = '{{ model_name }}'
{%- endmacro %}

{#-
  Whether this model has yet to process a row; true of all rows when it is built anew. The ingestions are asked for and
  named, so that the warehouse reads from large tables no more than what is new.
-#}
{% macro is_new(ingestion_id="ingestion_id") -%}
    {%- if execute and is_incremental() -%}
        {%- set finished = "select distinct ingestion_id from " ~ target.schema ~ ".stg_lake__ingestions" -%}
        {%- set processed = ingestions_processed_by(this.name) -%}
        {{ is_one_of(ingestion_id, run_query(finished ~ " where ingestion_id not in (" ~ processed ~ ")")) }}
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- Whether a text is in the first column of what a query found. -#}
{% macro is_one_of(text, found) -%}
    {{ text ~ " in " ~ literals(found.columns[0].values() | list) if found.rows else "false" }}
{%- endmacro %}

{#-
  The rows of a lake folder that this model has yet to process. Only the files of new ingestions are opened; the ledger
  says which ingestions have finished and wrote any such rows (`n_rows`, a column of it).
-#}
{% macro new_lake_rows(folder, record_type, n_rows) -%}
    {%- set finished = "select ingestion_id from " ~ ref("stg_lake__ingestions") ~ " where " ~ n_rows ~ " > 0" -%}
    {%- if record_type -%}
        {%- set finished = finished ~ " and record_type = '" ~ record_type ~ "'" -%}
    {%- endif -%}
    {%- if execute and is_incremental() -%}
        {%- set unprocessed = run_query("select distinct ingestion_id from (" ~ finished ~ ") where " ~ is_new()) -%}
        {{ lake_files(folder, unprocessed.columns[0].values() | list) }}
    {%- else -%}
        select * from {{ source("lake", folder) }} where ingestion_id in ({{ finished }})
    {%- endif -%}
{%- endmacro %}

{#- What some ingestions wrote into a lake folder. -#}
{% macro lake_files(folder, ingestion_ids) -%}
    {{ return(adapter.dispatch("lake_files")(folder, ingestion_ids)) }}
{%- endmacro %}

{% macro default__lake_files(folder, ingestion_ids) -%}
    select * from {{ source("lake", folder) }}
    where {{ "ingestion_id in " ~ literals(ingestion_ids) if ingestion_ids else "false" }}
{%- endmacro %}

{% macro duckdb__lake_files(folder, ingestion_ids) -%}
    {%- if ingestion_ids -%}
        {%- set files = [] -%}
        {%- for ingestion_id in ingestion_ids -%}
            {%- do files.append(env_var("FRESHET_HOME") ~ "/lake/" ~ folder ~ "/*/" ~ ingestion_id ~ "-[0-9][0-9][0-9][0-9].parquet") -%}
        {%- endfor -%}
        select * from read_parquet(['{{ files | join("', '") }}'], hive_partitioning = false)
    {%- else -%}
        {{ default__lake_files(folder, ingestion_ids) }}
    {%- endif -%}
{%- endmacro %}

{#- Only the interactions of users with something new, their old ones too: for marts of one row per user. -#}
{% macro of_users_with_news() -%}
    {%- if is_incremental() -%}
        where user_id in (select news.user_id from {{ ref("fct_interactions") }} as news where {{ is_new("news.ingestion_id") }})
    {%- endif -%}
{%- endmacro %}

{#-
  In tests: whether a row is of what this build has processed; and whether an entity (a user, an item, an event) has to do
  with it. What earlier builds wrote, they have tested; a build from nothing, and a run of the tests alone, look at
  everything.
-#}
{% macro is_news(ingestion_id="ingestion_id") -%}
    {{ "true" if is_everything_tested() else is_one_of(ingestion_id, news_of_build()) }}
{%- endmacro %}

{% macro is_touched(entity_id, column=none) -%}
    {%- if is_everything_tested() -%}
        true
    {%- else -%}
        {{ column or entity_id }} in (
            select touched.{{ entity_id }}
            from {{ target.schema }}.stg_lake__events as touched
            where {{ is_news("touched.ingestion_id") }}
        )
    {%- endif -%}
{%- endmacro %}

{% macro is_everything_tested() -%}
    {%- set news = news_of_build() -%}
    {{ return(not news or not news.rows) }}
{%- endmacro %}

{#- The ingestions that this build has processed. -#}
{% macro news_of_build() -%}
    {%- set of_build = " where invocation_id = '" ~ invocation_id ~ "'" -%}
    {{ return(run_query("select distinct ingestion_id from " ~ processed_ingestions() ~ of_build) if execute else none) }}
{%- endmacro %}

{#- In tests of keys: which rows to look at. What is rebuilt as a whole is looked at as a whole. -#}
{% macro rows_to_test(relation, columns) -%}
    {%- set nodes = graph.nodes.values() | selectattr("name", "equalto", relation.identifier) | list if execute else [] -%}
    {%- if nodes and nodes[0].config.materialized == "incremental" -%}
        {%- for entity_id in ("event_id", "user_id", "item_id") if entity_id in columns -%}
            {{ return(is_touched(entity_id)) }}
        {%- endfor -%}
    {%- endif -%}
    {{ return("true") }}
{%- endmacro %}
