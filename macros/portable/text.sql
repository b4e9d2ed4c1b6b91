{# Outer blanks gone, every run of white space inside made one blank, nothing left made null.

   The white space is listed: a shorthand such as `\s` means more characters on one engine than on the other. The
   no-break space, which word processors and web forms leave behind, counts as a blank. #}
{% macro collapsed(column) -%}
    nullif(trim(regexp_replace(replace({{ column }}, chr(160), ' '), '[ \t\n\r\f\v]+', ' ', 'g')), '')
{%- endmacro %}

{# Orders text by its bytes, which is the same on every engine; Postgres would follow the database's language. #}
{% macro binary_order(column) -%}
    {{ return(adapter.dispatch('binary_order', 'granary')(column)) }}
{%- endmacro %}

{% macro default__binary_order(column) -%}{{ column }}{%- endmacro %}

{% macro postgres__binary_order(column) -%}{{ column }} collate "C"{%- endmacro %}
