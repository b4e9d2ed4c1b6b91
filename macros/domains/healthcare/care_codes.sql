{# The key of a code in dim_codes. The same code of another system is another; one without a system is of none. #}
{% macro code_key(system, code) -%}
    coalesce({{ surrogate_key(["'code'", "coalesce(" ~ system ~ ", '')", code]) }}, {{ unknown_key() }})
{%- endmacro %}

{#  Whether a code ends in the digit that LOINC computes of those before its hyphen: mod 10 by Luhn, where the last digit and
    every second before it are doubled (LOINC Users' Guide, appendix C). Null where it isn't written as a LOINC code. #}
{% macro loinc_digit_is_right(code) -%}
    {%- set digits -%}lpad(split_part({{ code }}, '-', 1), 8, '0'){%- endset -%}
    case
        when {{ code }} ~ '^[0-9]{1,8}-[0-9]$' then mod(
            {%- for place in range(1, 9) %}
            cast({% if place % 2 == 0 -%}
                translate(substring({{ digits }}, {{ place }}, 1), '0123456789', '0246813579')
            {%- else -%}
                substring({{ digits }}, {{ place }}, 1)
            {%- endif %} as integer) +
            {%- endfor %}
            cast(split_part({{ code }}, '-', 2) as integer), 10
        ) = 0
    end
{%- endmacro %}

{# A unit by UCUM without its annotations, which say nothing of how much: `{beats}/min` is `/min`, `{score}` is `1`. #}
{% macro ucum_unit(code) -%}
    coalesce(nullif(regexp_replace({{ code }}, '[{][^{}]*[}]', '', 'g'), ''), case when {{ code }} <> '' then '1' end)
{%- endmacro %}

{% macro loinc() -%}'http://loinc.org'{%- endmacro %}

{% macro ucum() -%}'http://unitsofmeasure.org'{%- endmacro %}
