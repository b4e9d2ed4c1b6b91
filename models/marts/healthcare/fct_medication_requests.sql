{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='medication_request_key',
    pre_hook="{{ remember_touched(ref('int_medication_requests__touched'), 'int_medication_requests__touched') }}",
    indexes=[
        {'columns': ['medication_request_key'], 'unique': true}, {'columns': ['patient_key']},
        {'columns': ['event_date']},
    ],
) }}
-- depends_on: {{ ref('int_medication_requests__touched') }}

with requests as (
    select * from {{ latest_versions(
        ref('stg_fhir__medication_requests'), 'medication_request_id', among_touched('medication_request_id')
    ) }} as latest
),

timed as (
    select
        requests.*,
        {{ event_at('medication_requests', 'requests') }} as event_at,
        {{ event_date('medication_requests', 'requests') }} as event_date,
        {{ named_by_reference('requests.requester_id', 'requests.requester_reference') }} as practitioner_reference_key,
        coalesce(requests.status = 'entered-in-error', false) as is_entered_in_error
    from requests
    {{ computed_once() }}
)

select
    {{ care_key('medication_request', 'timed.medication_request_id') }} as medication_request_key,
    {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(patients.patient_version_key, {{ unknown_key() }}) as patient_version_key,
    {{ named_key('practitioners.practitioner_key', 'timed.practitioner_reference_key') }} as practitioner_key,
    {{ named_key('practitioners.practitioner_version_key', 'timed.practitioner_reference_key') }}
        as practitioner_version_key,
    {{ care_key('encounter', 'timed.encounter_id') }} as encounter_key,
    {{ care_key('condition', 'timed.reason_id') }} as reason_condition_key,
    {{ code_key('timed.medication_system', 'timed.medication_code') }} as code_key,
    cast(timed.medication_request_id as {{ dbt.type_string() }}) as medication_request_id,
    cast(timed.medication_code as {{ dbt.type_string() }}) as medication_code,
    cast(timed.medication_system as {{ dbt.type_string() }}) as medication_system,
    cast(timed.medication_display as {{ dbt.type_string() }}) as medication_display,
    cast(timed.category_code as {{ dbt.type_string() }}) as category_code,
    cast(timed.intent as {{ dbt.type_string() }}) as intent,
    cast(timed.status as {{ dbt.type_string() }}) as request_status,
    coalesce(timed.status = 'active' and not coalesce(timed.is_prohibition, false), false) as is_active,
    coalesce(timed.is_prohibition, false) as is_prohibition,
    timed.is_entered_in_error,
    timed.event_date,
    timed.event_at,
    cast(timed.authored_text as {{ dbt.type_string() }}) as authored_text,
    timed.authored_date,
    timed.authored_at,
    cast(timed.authored_precision as {{ dbt.type_string() }}) as authored_precision
from timed
{{ patient_that_held('timed') }}
{{ practitioner_that_held('timed') }}
