{# Postgres finds a key's intervals by index; DuckDB needs none, and its secondary indexes don't bear parallel builds. #}

{% macro create_history_indexes(relation, keys) -%}
    {{ return(adapter.dispatch('create_history_indexes', 'granary')(relation, keys)) }}
{%- endmacro %}

{% macro duckdb__create_history_indexes(relation, keys) -%}{%- endmacro %}

{% macro postgres__create_history_indexes(relation, keys) -%}
    {%- do run_query('create index on ' ~ relation ~ ' (' ~ keys | join(', ') ~ ')') -%}
{%- endmacro %}
