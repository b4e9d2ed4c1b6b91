{#  The joins by which a fact of care finds the versions that held: of the patient, and of a practitioner or a facility that
    it names. `records` is the alias of the fact's own rows, with event_at, patient_id and, where they are asked for, the
    columns practitioner_reference_key and location_reference_key or organization_reference_key. #}
{% macro patient_that_held(records) -%}
left join {{ ref('int_patients__records') }} as persons
    on {{ records }}.patient_id = persons.patient_id and persons.source_id = 'fhir'
left join {{ ref('dim_patients') }} as patients
    on
        persons.patient_key = patients.patient_key
        and {{ records }}.event_at >= patients.valid_from
        and {{ records }}.event_at < patients.valid_to
{%- endmacro %}

{% macro practitioner_that_held(records) -%}
left join {{ ref('int_practitioners__references') }} as named_practitioners
    on {{ records }}.practitioner_reference_key = named_practitioners.reference_key
left join {{ ref('dim_practitioners') }} as practitioners
    on
        named_practitioners.practitioner_id = practitioners.practitioner_id
        and {{ records }}.event_at >= practitioners.valid_from
        and {{ records }}.event_at < practitioners.valid_to
{%- endmacro %}

{# `kind`: location or organization, which begins the column's name, too. #}
{% macro facility_that_held(records, kind) -%}
left join {{ ref('int_facilities__references') }} as named_facilities
    on
        {{ records }}.{{ kind }}_reference_key = named_facilities.reference_key
        and named_facilities.facility_kind = '{{ kind }}'
left join {{ ref('dim_facilities') }} as facilities
    on
        named_facilities.facility_id = facilities.facility_id
        and facilities.facility_kind = '{{ kind }}'
        and {{ records }}.event_at >= facilities.valid_from
        and {{ records }}.event_at < facilities.valid_to
{%- endmacro %}

{# The key of what a record names: of one that isn't known, or of none where it names none. #}
{% macro named_key(key, reference_key) -%}
    coalesce(
        {{ key }},
        case when {{ reference_key }} is null then {{ not_applicable_key() }} else {{ unknown_key() }} end
    )
{%- endmacro %}
