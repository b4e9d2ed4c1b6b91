{#  The sources of the domains that are on: those that `vars: domains:` publishes, or that DOMAINS of the environment names.
    ingestion/domains.py reads both in the same way, and the fingerprint of what calls one of these macros holds what the
    function of its name gives, in the place of the whole list (warehouse/ledger.py). #}

{# Their names, in order. #}
{% macro source_ids() -%}
    {%- set asked = env_var('DOMAINS', '?') -%}
    {%- set found = [] -%}
    {%- for name, domain in (var('domains') or {}).items()
        if (domain.get('published', true) if asked == '?' else name in asked.replace(',', ' ').split()) -%}
        {%- do found.extend(domain.get('sources') or []) -%}
    {%- endfor -%}
    {{ return(found | unique | sort) }}
{%- endmacro %}

{# With their words, which one of the domains that read a source gives: source_id, name, kind, description. #}
{% macro named_sources() -%}
    {%- set words = {} -%}
    {%- for domain in (var('domains') or {}).values() -%}
        {%- for source_id, given in (domain.get('sources') or {}).items() if not words.get(source_id) -%}
            {%- do words.update({source_id: given or {}}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set found = [] -%}
    {%- for source_id in source_ids() -%}
        {%- do found.append(dict({'name': source_id, 'kind': '', 'description': ''}, source_id=source_id, **words[source_id])) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{# A select of no rows, with these columns (name: type): what is left of a union over sources where there are none. #}
{% macro no_rows(columns) -%}
    select
    {%- for name, type in columns.items() %}
        cast(null as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
    where 1 = 0
{%- endmacro %}
