{# Outer blanks gone, and every run of white space inside made one blank. #}
{% macro collapsed(column) -%}
    {{ return(adapter.dispatch('collapsed', 'granary')(column)) }}
{%- endmacro %}

{% macro default__collapsed(column) -%}trim(regexp_replace({{ column }}, '\s+', ' ', 'g')){%- endmacro %}
