{# The relations that hold keys of versions of patients: the touched patients are found for all of them together. #}
{% macro facts_of_patients() -%}
    {{ return([
        'fct_conditions', 'fct_procedures', 'fct_medication_requests', 'fct_immunizations', 'fct_lab_results',
        'fct_encounters', 'fct_observations',
    ]) }}
{%- endmacro %}

{# The key of a resource by its id, null without one: a fact's own, what it refers to, and the touched ones are the same. #}
{% macro care_key(entity, column) -%}{{ surrogate_key(["'" ~ entity ~ "'", "'fhir'", column]) }}{%- endmacro %}

{# A date as text, as precisely as it is known. #}
{% macro day_as_told(date, precision) -%}
    substr(cast({{ date }} as {{ dbt.type_string() }}), 1, case {{ precision }} when 'year' then 4 when 'month' then 7 else 10 end)
{%- endmacro %}
