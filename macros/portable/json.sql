{#  The text at a path of a JSON text: null where the path leads nowhere, or to JSON's null. Nothing that is valid JSON
    is an error: a path through something that is no object leads nowhere.

    `path` is a list of keys. For text, booleans and whole numbers: engines write fractions and objects each in their own
    way. NUL characters (`\u0000`), which Postgres can't keep in text, are
    left out. #}
{% macro json_text(column, path) -%}
    {{ return(adapter.dispatch('json_text', 'granary')(column, path)) }}
{%- endmacro %}

{% macro duckdb__json_text(column, path) -%}
    replace(json_extract_string({{ column }}, '$."{{ path | join('"."') }}"'), chr(0), '')
{%- endmacro %}

{% macro postgres__json_text(column, path) -%}
    {#- The escape is taken out of the text only where the backslash isn't itself escaped. -#}
    cast(
        regexp_replace({{ column }}, '(?<!\\)((?:\\\\)*)\\u0000', '\1', 'g') as json
    ) #>> array['{{ path | join("', '") }}']
{%- endmacro %}
