{# Postgres plans a join with a fresh temporary table badly until it has counted it; DuckDB always knows. #}
{% macro analyze_table(name) -%}
    {{ return(adapter.dispatch('analyze_table', 'granary')(name)) }}
{%- endmacro %}

{% macro duckdb__analyze_table(name) -%}{%- endmacro %}

{% macro postgres__analyze_table(name) -%}analyze {{ name }};{%- endmacro %}
