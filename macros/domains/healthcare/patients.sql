{# The relations that hold keys of versions of patients: the touched patients are found for all of them together. #}
{% macro facts_of_patients() -%}
    {{ return(['fct_conditions', 'fct_procedures', 'fct_medication_requests', 'fct_immunizations']) }}
{%- endmacro %}

{# Keys that several models make. A record of a source is a person by itself, as long as nothing joins it with another. #}
{% macro person_key_of_record(source_id, patient_id) -%}{{ surrogate_key(["'person'", source_id, patient_id]) }}{%- endmacro %}

{% macro encounter_key(column) -%}{{ surrogate_key(["'encounter'", "'fhir'", column]) }}{%- endmacro %}

{% macro condition_key(column) -%}{{ surrogate_key(["'condition'", "'fhir'", column]) }}{%- endmacro %}

{#  A condition on staging's records of patients: something of them happened when another version of the patient may hold now.

    records: the alias of the records. event_at: when it happened, as the fact has it. patients: the alias of
    int_patients__touched. #}
{% macro is_of_touched_patient(records, event_at, patients='patients') -%}
    {{ records }}.patient_id = {{ patients }}.patient_id
    and {{ patients }}.source_id = 'fhir'
    and {{ event_at }} >= {{ patients }}.changed_from
{%- endmacro %}
