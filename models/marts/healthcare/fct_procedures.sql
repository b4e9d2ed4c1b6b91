{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='procedure_key',
    pre_hook="{{ remember_touched(ref('int_procedures__touched'), 'int_procedures__touched') }}",
    indexes=[{'columns': ['procedure_key'], 'unique': true}, {'columns': ['patient_key']}, {'columns': ['event_date']}],
) }}
-- depends_on: {{ ref('int_procedures__touched') }}

with procedures as (
    select * from {{ latest_versions(
        ref('stg_fhir__procedures'), 'procedure_id', among_touched('procedure_id')
    ) }} as latest
),

timed as (
    select
        procedures.*,
        {{ event_at('procedures', 'procedures') }} as event_at,
        {{ event_date('procedures', 'procedures') }} as event_date,
        {{ named_by_reference('procedures.location_id', 'procedures.location_reference') }} as location_reference_key,
        coalesce(procedures.status = 'entered-in-error', false) as is_entered_in_error
    from procedures
    {{ computed_once() }}
)

select
    {{ care_key('procedure', 'timed.procedure_id') }} as procedure_key,
    {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(patients.patient_version_key, {{ unknown_key() }}) as patient_version_key,
    {{ named_key('facilities.facility_key', 'timed.location_reference_key') }} as facility_key,
    {{ named_key('facilities.facility_version_key', 'timed.location_reference_key') }} as facility_version_key,
    {{ care_key('encounter', 'timed.encounter_id') }} as encounter_key,
    {{ care_key('condition', 'timed.reason_id') }} as reason_condition_key,
    {{ code_key('timed.procedure_system', 'timed.procedure_code') }} as code_key,
    cast(timed.procedure_id as {{ dbt.type_string() }}) as procedure_id,
    cast(timed.procedure_code as {{ dbt.type_string() }}) as procedure_code,
    cast(timed.procedure_system as {{ dbt.type_string() }}) as procedure_system,
    cast(timed.procedure_display as {{ dbt.type_string() }}) as procedure_display,
    cast(timed.category_code as {{ dbt.type_string() }}) as category_code,
    cast(timed.outcome_code as {{ dbt.type_string() }}) as outcome_code,
    cast(timed.status as {{ dbt.type_string() }}) as procedure_status,
    coalesce(timed.status = 'completed', false) as is_completed,
    timed.is_entered_in_error,
    cast(case
        when timed.performed_started_precision = 'second' and timed.performed_ended_precision = 'second'
            then {{ seconds_between('timed.performed_started_at', 'timed.performed_ended_at') }}
    end as bigint) as duration_seconds,
    timed.event_date,
    timed.event_at,
    cast(coalesce(timed.performed_text, timed.performed_started_text) as {{ dbt.type_string() }}) as started_text,
    coalesce(timed.performed_date, timed.performed_started_date) as started_date,
    coalesce(timed.performed_at, timed.performed_started_at) as started_at,
    cast(
        coalesce(timed.performed_precision, timed.performed_started_precision) as {{ dbt.type_string() }}
    ) as started_precision,
    cast(timed.performed_ended_text as {{ dbt.type_string() }}) as ended_text,
    timed.performed_ended_date as ended_date,
    timed.performed_ended_at as ended_at,
    cast(timed.performed_ended_precision as {{ dbt.type_string() }}) as ended_precision
from timed
{{ patient_that_held('timed') }}
{{ facility_that_held('timed', 'location') }}
