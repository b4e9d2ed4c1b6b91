{#  A condition: a value is one of those that a select of few keys finds.

    A semi join, where it is one of a view's columns: Postgres made the whole view first, whatever it computes of each row (of
    300,000 FHIR resources 38 s, for 7,000 that were asked for). Of an array it knows the keys before it looks, and finds the
    rows by an index of the view's table: 0.7 s. Without an index it would compare every row with every key. #}
{% macro is_one_of(value, keys) -%}
    {{ return(adapter.dispatch('is_one_of', 'granary')(value, keys)) }}
{%- endmacro %}

{% macro duckdb__is_one_of(value, keys) -%}{{ value }} in ({{ keys }}){%- endmacro %}

{% macro postgres__is_one_of(value, keys) -%}{{ value }} = any (array({{ keys }})){%- endmacro %}

{#  The same, where a join with the keys says so already: it changes no row. DuckDB finds the rows by the join; Postgres reads
    the whole table for it, where an index is at hand. #}
{% macro looked_up(value, keys) -%}
    {{ return(adapter.dispatch('looked_up', 'granary')(value, keys)) }}
{%- endmacro %}

{% macro duckdb__looked_up(value, keys) -%}true{%- endmacro %}

{% macro postgres__looked_up(value, keys) -%}{{ is_one_of(value, keys) }}{%- endmacro %}
