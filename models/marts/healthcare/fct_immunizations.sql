{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='immunization_key',
    pre_hook="{{ remember_touched(ref('int_immunizations__touched'), 'int_immunizations__touched') }}",
    indexes=[
        {'columns': ['immunization_key'], 'unique': true}, {'columns': ['patient_key']}, {'columns': ['event_date']},
    ],
) }}
-- depends_on: {{ ref('int_immunizations__touched') }}

with immunizations as (
    select * from {{ latest_versions(
        ref('stg_fhir__immunizations'), 'immunization_id', among_touched('immunization_id')
    ) }} as latest
),

timed as (
    select
        immunizations.*,
        {{ event_at('immunizations', 'immunizations') }} as event_at,
        {{ event_date('immunizations', 'immunizations') }} as event_date,
        {{ named_by_reference('immunizations.location_id', 'immunizations.location_reference') }}
            as location_reference_key,
        coalesce(immunizations.status = 'entered-in-error', false) as is_entered_in_error
    from immunizations
    {{ computed_once() }}
)

select
    {{ care_key('immunization', 'timed.immunization_id') }} as immunization_key,
    {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(patients.patient_version_key, {{ unknown_key() }}) as patient_version_key,
    {{ named_key('facilities.facility_key', 'timed.location_reference_key') }} as facility_key,
    {{ named_key('facilities.facility_version_key', 'timed.location_reference_key') }} as facility_version_key,
    {{ care_key('encounter', 'timed.encounter_id') }} as encounter_key,
    {{ code_key('timed.vaccine_system', 'timed.vaccine_code') }} as code_key,
    cast(timed.immunization_id as {{ dbt.type_string() }}) as immunization_id,
    cast(timed.vaccine_code as {{ dbt.type_string() }}) as vaccine_code,
    cast(timed.vaccine_system as {{ dbt.type_string() }}) as vaccine_system,
    cast(timed.vaccine_display as {{ dbt.type_string() }}) as vaccine_display,
    cast(timed.target_disease_code as {{ dbt.type_string() }}) as target_disease_code,
    cast(timed.status as {{ dbt.type_string() }}) as immunization_status,
    coalesce(timed.status = 'completed', false) as is_given,
    coalesce(timed.is_primary_source, false) as is_primary_source,
    timed.is_entered_in_error,
    cast(timed.dose_number as bigint) as dose_number,
    cast(timed.series_dose_count as bigint) as series_dose_count,
    timed.event_date,
    timed.event_at,
    cast(timed.occurred_text as {{ dbt.type_string() }}) as occurred_text,
    timed.occurred_date,
    timed.occurred_at,
    cast(timed.occurred_precision as {{ dbt.type_string() }}) as occurred_precision
from timed
{{ patient_that_held('timed') }}
{{ facility_that_held('timed', 'location') }}
