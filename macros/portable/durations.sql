{# Whole seconds from one timestamp to another; null where either is. #}
{% macro seconds_between(first_at, second_at) -%}
    cast(round(extract(epoch from ({{ second_at }} - {{ first_at }}))) as bigint)
{%- endmacro %}
