{#  For the end of a CTE: its columns are computed once for each of its rows.

    Postgres takes a CTE that is used once into the query around it, expressions and all: where a range join asks for the
    business day of a row, it was computed anew for each row of the other side with the same key, and a conversion of
    time zones is dear. Its planner takes in nothing that has an offset. DuckDB computes once as it is. #}

{% macro computed_once() -%}
    {{ return(adapter.dispatch('computed_once', 'granary')()) }}
{%- endmacro %}

{% macro duckdb__computed_once() -%}{%- endmacro %}

{% macro postgres__computed_once() -%}offset 0{%- endmacro %}
