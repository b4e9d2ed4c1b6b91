{#  Hashes that come out the same on every engine. Only types whose text is the same everywhere may be hashed:
    text, integers, numeric with a declared scale, boolean, date, timestamp without a time zone. Never a float. #}

{# A part of what is hashed, as text. Parts are joined by `|`: one that stands within a part is told apart from those. #}
{% macro hashed_part(part) -%}
    {%- set text = 'cast(' ~ part ~ ' as ' ~ dbt.type_string() ~ ')' -%}
    {%- if part.startswith("'") and part.endswith("'") and part.count("'") == 2 and '|' not in part -%}
        {{ part }}
    {%- else -%}
        case
            when strpos({{ text }}, '|') > 0 or strpos({{ text }}, '\') > 0
                then replace(replace({{ text }}, '\', '\\'), '|', '\|')
            else {{ text }}
        end
    {%- endif -%}
{%- endmacro %}

{# A surrogate key: the md5 of the natural key's parts as a UUID, 16 bytes. `parts` are SQL expressions; the first
   is usually the quoted name of the source system. A null part makes the key null. #}
{% macro surrogate_key(parts) -%}
    cast(md5({% for part in parts %}{{ hashed_part(part) }}{% if not loop.last %} || '|' || {% endif %}{% endfor %}) as uuid)
{%- endmacro %}

{# A hash of a row's content, nulls told apart from empty strings. #}
{% macro row_hash(columns) -%}
    md5({% for column in columns %}coalesce('=' || {{ hashed_part(column) }}, '~'){% if not loop.last %} || '|' || {% endif %}{% endfor %})
{%- endmacro %}

{# Members of every dimension: what is not known, and what does not apply. #}
{% macro unknown_key() -%}cast('00000000-0000-0000-0000-000000000000' as uuid){%- endmacro %}

{% macro not_applicable_key() -%}cast('00000000-0000-0000-0000-000000000001' as uuid){%- endmacro %}
