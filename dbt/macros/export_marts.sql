{#-
  Write the marts of this run to FRESHET_HOME/features as Parquet, for readers that must never open the warehouse.

  Nothing is written when anything in the run failed, so a bad row stops here. Each file is written beside the old one
  and renamed over it by DuckDB (use_tmp_file): whoever reads meanwhile reads the old file to its end. The order makes
  the bytes the same on every run, and lets readers of a time range skip row groups.
-#}
{% macro export_marts(results) %}
    {%- set failures = results | selectattr("status", "in", ["error", "fail", "runtime error", "skipped"]) | list -%}
    {%- if failures -%}
        {%- do log(failures | length ~ " nodes failed or were skipped: the exports stay as they were", info=true) -%}
    {%- else -%}
        {%- for node in results | map(attribute="node") if node.config.get("meta", {}).get("export_order") -%}
            {{- export_mart(node) -}}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}

{% macro export_mart(node) %}
    copy (select * from {{ node.relation_name }} order by {{ node.config.meta["export_order"] | join(", ") }})
    to '{{ env_var("FRESHET_HOME") }}/features/{{ node.name }}.parquet'
    (format parquet, compression zstd, use_tmp_file true);
{% endmacro %}
