{#  A value in its canonical unit, to six decimal places: (value + added_before) * numerator / denominator, by `ucum_units`,
    exactly until the one division. #}
{% macro canonical_value(value, units) -%}
    {{ safe_divide(
        product('(' ~ value ~ ' + ' ~ units ~ '.added_before)', units ~ '.factor_numerator', 8),
        units ~ '.factor_denominator'
    ) }}
{%- endmacro %}

{# Classes of encounters in which somebody stays the night: inpatient, acute, not acute (HL7's ActCode). #}
{% macro classes_of_stays() -%}('IMP', 'ACUTE', 'NONAC'){%- endmacro %}

{# Statuses of encounters that took place or go on. #}
{% macro statuses_that_took_place() -%}('in-progress', 'onleave', 'finished'){%- endmacro %}

{# Who is back within so many seconds, 30 days, is readmitted. #}
{% macro seconds_of_readmission() -%}2592000{%- endmacro %}
