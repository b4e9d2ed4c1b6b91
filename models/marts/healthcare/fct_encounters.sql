{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='encounter_key',
    pre_hook="{{ remember_touched(ref('int_encounters__touched'), 'int_encounters__touched') }}",
    indexes=[{'columns': ['encounter_key'], 'unique': true}, {'columns': ['patient_key']}, {'columns': ['event_date']}],
) }}
-- depends_on: {{ ref('int_encounters__touched') }}

with encounters as (
    select *
    from {{ latest_versions(
        ref('stg_fhir__encounters'), 'encounter_id', among_touched('encounter_id')
    ) }} as latest
),

timed as (
    select
        encounters.*,
        {{ event_at('encounters', 'encounters') }} as event_at,
        {{ event_date('encounters', 'encounters') }} as event_date,
        {{ named_by_reference('service_provider_id', 'service_provider_reference') }} as organization_reference_key,
        coalesce(status = 'entered-in-error', false) as is_entered_in_error
    from encounters
    {{ computed_once() }}
)

select
    {{ care_key('encounter', 'timed.encounter_id') }} as encounter_key,
    {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(patients.patient_version_key, {{ unknown_key() }}) as patient_version_key,
    {{ named_key('facilities.facility_key', 'timed.organization_reference_key') }} as facility_key,
    {{ named_key('facilities.facility_version_key', 'timed.organization_reference_key') }} as facility_version_key,
    {{ code_key('timed.type_system', 'timed.type_code') }} as code_key,
    {{ code_key('timed.reason_system', 'timed.reason_code') }} as reason_code_key,
    {{ care_key('encounter', 'timed.part_of_id') }} as part_of_encounter_key,
    cast(timed.encounter_id as {{ dbt.type_string() }}) as encounter_id,
    cast(timed.type_code as {{ dbt.type_string() }}) as type_code,
    cast(timed.type_system as {{ dbt.type_string() }}) as type_system,
    cast(timed.type_display as {{ dbt.type_string() }}) as type_display,
    cast(timed.reason_code as {{ dbt.type_string() }}) as reason_code,
    cast(timed.reason_system as {{ dbt.type_string() }}) as reason_system,
    cast(timed.reason_display as {{ dbt.type_string() }}) as reason_display,
    cast(timed.class_code as {{ dbt.type_string() }}) as encounter_class,
    cast(timed.status as {{ dbt.type_string() }}) as encounter_status,
    cast(timed.discharge_disposition_code as {{ dbt.type_string() }}) as discharge_disposition_code,
    coalesce(timed.status = 'finished', false) as is_finished,
    timed.is_entered_in_error,
    coalesce(timed.ended_at < timed.started_at, false) as is_backward,
    cast({{ seconds_between('timed.started_at', 'timed.ended_at') }} as bigint) as length_seconds,
    timed.event_date,
    timed.event_at,
    timed.started_date,
    timed.started_at,
    cast(timed.started_precision as {{ dbt.type_string() }}) as started_precision,
    timed.ended_date,
    timed.ended_at,
    cast(timed.ended_precision as {{ dbt.type_string() }}) as ended_precision
from timed
{{ patient_that_held('timed') }}
{{ facility_that_held('timed', 'organization') }}
