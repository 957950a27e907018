{#-
  Whether something was said of a user who has been erased since.
-#}
{% macro is_erased(user_id, moment) -%}
    exists (
        select 1
        from {{ ref("int_users_erased") }} as erased
        where erased.user_id = {{ user_id }} and {{ moment }} <= erased.erased_at
    )
{%- endmacro %}

{#-
  After new erasures: incremental models that hold what has to be forgotten go, and this build makes them anew. That costs
  a full refresh, which an erasure is worth, and it cannot be forgotten.
-#}
{% macro build_anew_what_knows_erased_users() %}
    {%- if execute -%}
        {%- set of_build = "model_name = '" ~ this.name ~ "' and invocation_id = '" ~ invocation_id ~ "'" -%}
        {%- set news = "select ingestion_id from " ~ processed_ingestions() ~ " where " ~ of_build -%}
        {%- if run_query("select 1 from " ~ this ~ " where ingestion_id in (" ~ news ~ ") limit 1").rows -%}
            {%- for node in descendants(model.unique_id) if node.config.materialized == "incremental" -%}
                {%- set relation = adapter.get_relation(node.database, node.schema, node.alias) -%}
                {%- if relation -%}
                    {%- do adapter.drop_relation(relation) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#- The models that read a model, or read one that does. -#}
{% macro descendants(unique_id) -%}
    {%- set models = graph.nodes.values() | selectattr("resource_type", "equalto", "model") | list -%}
    {%- set ids, found = [unique_id], [] -%}
    {%- for _ in models -%}
        {%- for node in models if node.unique_id not in ids -%}
            {%- if node.depends_on.nodes | select("in", ids) | list -%}
                {%- do ids.append(node.unique_id) -%}
                {%- do found.append(node) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
