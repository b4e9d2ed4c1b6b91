{#  What a rule of a consent says of research: docs/decisions/consent.md. `rule` is the alias of a staged provision.

    A permit counts where research is among its purposes, or it names none, and it is of all data and everybody; a denial
    also where it is of some data or somebody, because the safe side is that of the patient. #}
{% macro purposes_of_research() -%}
    {{ return(['HRESCH', 'BIORCH', 'CLINTRCH', 'CLINTRCHNPC', 'CLINTRCHPC', 'DSRCH', 'POARCH', 'PRECLINTRCH',
        'TRANSRCH']) }}
{%- endmacro %}

{# Whether one of the codes, which commas separate, is a purpose of research. #}
{% macro is_for_research(codes) -%}
    (
        {%- for purpose in purposes_of_research() %}
        ',' || {{ codes }} || ',' like '%,{{ purpose }},%'{{ ' or' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{# Whether a rule's period holds the moment, half-open. A day that it ends with is in it. What can't be told is for the denial. #}
{% macro holds_moment(rule, moment) -%}
    (
        case
            when {{ rule }}.started_text is null or {{ rule }}.started_at <= {{ moment }} then true
            when {{ rule }}.started_at is null then {{ rule }}.is_denial
            else false
        end
        and case
            when {{ rule }}.ended_text is null or {{ rule }}.holds_until > {{ moment }} then true
            when {{ rule }}.holds_until is null then {{ rule }}.is_denial
            else false
        end
    )
{%- endmacro %}
