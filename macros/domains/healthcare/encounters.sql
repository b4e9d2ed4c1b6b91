{# The join by which an encounter finds its service provider as it was then. See `location_that_held`. #}
{% macro organization_that_held(records) -%}
left join {{ ref('int_facilities__references') }} as named_facilities
    on
        {{ records }}.organization_reference_key = named_facilities.reference_key
        and named_facilities.facility_kind = 'organization'
left join {{ ref('dim_facilities') }} as facilities
    on
        named_facilities.facility_id = facilities.facility_id
        and facilities.facility_kind = 'organization'
        and {{ records }}.event_at >= facilities.valid_from
        and {{ records }}.event_at < facilities.valid_to
{%- endmacro %}

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
