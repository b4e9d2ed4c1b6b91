{#  Text as it is compared: the same on every engine, and the same as the contract pass has it (ingestion/sql.py).

    Engines disagree on what trimming takes away, on what a letter's other case is (of ß, İ, the Kelvin sign) and on what
    `\s` means. So the blanks are listed, and letters are folded as far as ASCII goes. Nearly all values are written
    plainly, and a cheap pattern tells: only the others are looked at closely. #}

{#  White space of any kind, as one text: Unicode's, the byte order mark and the zero-width space.

    Written as the characters themselves. Put together by `chr`, they were most of what DuckDB does to plan a statement: a
    list of touched keys, which reads some twenty views, took 0.3 s of its 0.4 s for it. #}
{% macro blanks() -%}
    ' {% for code in blank_codes() %}{{ '%c' | format(code) }}{% endfor %}'
{%- endmacro %}

{% macro blank_codes() -%}
    {{ return([9, 10, 11, 12, 13, 133, 160, 5760, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202, 8203,
        8232, 8233, 8239, 8287, 12288, 65279]) }}
{%- endmacro %}

{# Outer blanks gone; null where nothing is left. #}
{% macro trimmed(column) -%}
    case
        when {{ column }} ~ '^[!-~]([ -~]*[!-~])?$' then {{ column }}
        else nullif(trim({{ column }}, {{ blanks() }}), '')
    end
{%- endmacro %}

{# A code of a system, such as a status or a user's id, that somebody may write in capitals: trimmed, in small letters. #}
{% macro folded(column) -%}
    {{ _in_letters(column, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'a-z') }}
{%- endmacro %}

{# The same for what is written in capitals, such as a currency or a product's code. #}
{% macro folded_up(column) -%}
    {{ _in_letters(column, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz', 'A-Z') }}
{%- endmacro %}

{% macro _in_letters(column, letters, others, plain) -%}
    case
        when {{ column }} ~ '^[{{ plain }}0-9_.-]+$' then {{ column }}
        when {{ column }} ~ '^[!-~]([ -~]*[!-~])?$' then {{ in_case_of_ascii(column, 'lower' if 'a' in letters else 'upper') }}
        else translate(nullif(trim({{ column }}, {{ blanks() }}), ''), '{{ others }}', '{{ letters }}')
    end
{%- endmacro %}

{# The engine's own `lower` or `upper`, twenty times faster than listing letters, of a text that is all ASCII: there they
   agree, once Postgres is told not to follow a language. #}
{% macro in_case_of_ascii(text, function) -%}
    {{ return(adapter.dispatch('in_case_of_ascii', 'granary')(text, function)) }}
{%- endmacro %}

{% macro default__in_case_of_ascii(text, function) -%}{{ function }}({{ text }}){%- endmacro %}

{% macro postgres__in_case_of_ascii(text, function) -%}{{ function }}({{ text }} collate "C"){%- endmacro %}

{# Outer blanks gone, every run of blanks inside made one, nothing left made null. #}
{% macro collapsed(column) -%}
    case
        when {{ column }} ~ '^[!-~]+( [!-~]+)*$' then {{ column }}
        else nullif(trim(regexp_replace(
            translate({{ column }}, {{ blanks() }}, repeat(' ', {{ blank_codes() | length + 1 }})), ' +', ' ', 'g'
        )), '')
    end
{%- endmacro %}

{# Orders text by its bytes, which is the same on every engine; Postgres would follow the database's language. #}
{% macro binary_order(column) -%}
    {{ return(adapter.dispatch('binary_order', 'granary')(column)) }}
{%- endmacro %}

{% macro default__binary_order(column) -%}{{ column }}{%- endmacro %}

{% macro postgres__binary_order(column) -%}{{ column }} collate "C"{%- endmacro %}
