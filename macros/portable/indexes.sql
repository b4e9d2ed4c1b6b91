{# Postgres finds a key's intervals by index; DuckDB needs none, and its secondary indexes don't bear parallel builds. #}

{% macro create_history_indexes(relation, keys) -%}
    {{ return(adapter.dispatch('create_history_indexes', 'granary')(relation, keys)) }}
{%- endmacro %}

{% macro duckdb__create_history_indexes(relation, keys) -%}{%- endmacro %}

{% macro postgres__create_history_indexes(relation, keys) -%}
    {%- do run_query('create index on ' ~ relation ~ ' (' ~ keys | join(', ') ~ ')') -%}
    {#- What joins the new table before its statistics are there is planned badly. -#}
    {%- do run_query('analyze ' ~ relation) -%}
{%- endmacro %}

{# A model's `indexes` are made on Postgres only: on DuckDB a unique index sees a row deleted and inserted in one transaction
   as a duplicate, and indexes of tables that are built at the same time get in each other's way. #}
{% macro duckdb__create_indexes(relation) -%}{%- endmacro %}
