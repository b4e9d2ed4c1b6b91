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
