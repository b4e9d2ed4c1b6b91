{#  Hashes that come out the same on every engine. Only types whose text is the same everywhere may be hashed:
    text, integers, numeric with a declared scale, boolean, date, timestamp without a time zone. Never a float. #}

{# A surrogate key: the md5 of the natural key's parts as a UUID, 16 bytes. `parts` are SQL expressions; the first
   is usually the quoted name of the source system. A null part makes the key null. #}
{% macro surrogate_key(parts) -%}
    cast(md5({% for part in parts %}cast({{ part }} as {{ dbt.type_string() }}){% if not loop.last %} || '|' || {% endif %}{% endfor %}) as uuid)
{%- endmacro %}

{# A hash of a row's content, nulls told apart from empty strings. #}
{% macro row_hash(columns) -%}
    md5({% for column in columns %}coalesce('=' || cast({{ column }} as {{ dbt.type_string() }}), '~'){% if not loop.last %} || '|' || {% endif %}{% endfor %})
{%- endmacro %}

{# Members of every dimension: what is not known, and what does not apply. #}
{% macro unknown_key() -%}cast('00000000-0000-0000-0000-000000000000' as uuid){%- endmacro %}

{% macro not_applicable_key() -%}cast('00000000-0000-0000-0000-000000000001' as uuid){%- endmacro %}
