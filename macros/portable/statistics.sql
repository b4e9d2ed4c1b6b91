{# Postgres plans a join with a fresh temporary table badly until it has counted it; DuckDB always knows. #}
{% macro analyze_table(name) -%}
    {{ return(adapter.dispatch('analyze_table', 'granary')(name)) }}
{%- endmacro %}

{% macro duckdb__analyze_table(name) -%}{%- endmacro %}

{% macro postgres__analyze_table(name) -%}analyze {{ name }};{%- endmacro %}

{# For a post-hook: count what was built in full, before others join it. What grows is counted by autovacuum. #}
{% macro analyze_rebuilt() -%}
    {%- if not is_incremental() -%}{{ analyze_table(this) }}{%- endif -%}
{%- endmacro %}
