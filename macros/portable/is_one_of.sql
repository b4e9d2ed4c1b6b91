{#  A condition: a value is one of those that a select of few keys finds.

    A semi join, where it is one of a view's columns: Postgres made the whole view first, whatever it computes of each row (of
    300,000 FHIR resources 38 s, for 7,000 that were asked for). Of an array it knows the keys before it looks, and finds the
    rows by an index of the view's table: 0.7 s. #}
{% macro is_one_of(value, keys) -%}
    {{ return(adapter.dispatch('is_one_of', 'granary')(value, keys)) }}
{%- endmacro %}

{% macro duckdb__is_one_of(value, keys) -%}{{ value }} in ({{ keys }}){%- endmacro %}

{% macro postgres__is_one_of(value, keys) -%}{{ value }} = any (array({{ keys }})){%- endmacro %}
