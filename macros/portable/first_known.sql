{# Of a group's values the first that is not null, in the order of a column without ties. #}
{% macro first_known(column, place) -%}
    (array_agg({{ column }} order by {{ place }}) filter (where {{ column }} is not null))[1]
{%- endmacro %}
