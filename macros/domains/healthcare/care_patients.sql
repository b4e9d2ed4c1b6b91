{# The relations that hold keys of versions of patients: the touched patients are found for all of them together. #}
{% macro facts_of_patients() -%}
    {{ return([
        'fct_conditions', 'fct_procedures', 'fct_medication_requests', 'fct_immunizations', 'fct_lab_results',
        'fct_encounters', 'fct_observations',
    ]) }}
{%- endmacro %}

{# Keys that several models make. A record of a source is a person by itself, as long as nothing joins it with another. #}
{% macro person_key_of_record(source_id, patient_id) -%}{{ surrogate_key(["'person'", source_id, patient_id]) }}{%- endmacro %}

{% macro encounter_key(column) -%}{{ surrogate_key(["'encounter'", "'fhir'", column]) }}{%- endmacro %}

{% macro condition_key(column) -%}{{ surrogate_key(["'condition'", "'fhir'", column]) }}{%- endmacro %}

{# A date as text, as precisely as it is known. #}
{% macro day_as_told(date, precision) -%}
    substr(cast({{ date }} as {{ dbt.type_string() }}), 1, case {{ precision }} when 'year' then 4 when 'month' then 7 else 10 end)
{%- endmacro %}
