{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='condition_key',
    pre_hook="{{ remember_touched(ref('int_conditions__touched'), 'int_conditions__touched') }}",
    indexes=[{'columns': ['condition_key'], 'unique': true}, {'columns': ['patient_key']}, {'columns': ['event_date']}],
) }}
-- depends_on: {{ ref('int_conditions__touched') }}

with conditions as (
    select * from {{ latest_versions(
        ref('stg_fhir__conditions'), 'condition_id', among_touched('condition_id')
    ) }} as latest
),

timed as (
    select
        conditions.*,
        {{ event_at('conditions', 'conditions') }} as event_at,
        {{ event_date('conditions', 'conditions') }} as event_date,
        {{ named_by_reference('conditions.recorder_id', 'conditions.recorder_reference') }}
            as practitioner_reference_key,
        coalesce(conditions.verification_status = 'entered-in-error', false) as is_entered_in_error,
        coalesce(conditions.verification_status = 'refuted', false) as is_refuted,
        coalesce(conditions.clinical_status in ('active', 'recurrence', 'relapse'), false) as says_active,
        coalesce(conditions.clinical_status in ('inactive', 'remission', 'resolved'), false) as says_over
    from conditions
    {{ computed_once() }}
)

select
    {{ care_key('condition', 'timed.condition_id') }} as condition_key,
    {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(patients.patient_version_key, {{ unknown_key() }}) as patient_version_key,
    {{ named_key('practitioners.practitioner_key', 'timed.practitioner_reference_key') }} as practitioner_key,
    {{ named_key('practitioners.practitioner_version_key', 'timed.practitioner_reference_key') }}
        as practitioner_version_key,
    {{ care_key('encounter', 'timed.encounter_id') }} as encounter_key,
    {{ code_key('timed.condition_system', 'timed.condition_code') }} as code_key,
    cast(timed.condition_id as {{ dbt.type_string() }}) as condition_id,
    cast(timed.condition_code as {{ dbt.type_string() }}) as condition_code,
    cast(timed.condition_system as {{ dbt.type_string() }}) as condition_system,
    cast(timed.condition_display as {{ dbt.type_string() }}) as condition_display,
    cast(timed.category_code as {{ dbt.type_string() }}) as category_code,
    cast(timed.severity_code as {{ dbt.type_string() }}) as severity_code,
    cast(timed.clinical_status as {{ dbt.type_string() }}) as clinical_status,
    cast(timed.verification_status as {{ dbt.type_string() }}) as verification_status,
    not timed.has_abatement and not timed.is_entered_in_error and not timed.is_refuted as is_active,
    timed.has_abatement,
    (timed.says_active and timed.has_abatement) or (timed.says_over and not timed.has_abatement) as is_contradicted,
    timed.is_refuted,
    timed.is_entered_in_error,
    timed.event_date,
    timed.event_at,
    cast(coalesce(timed.onset_text, timed.onset_started_text) as {{ dbt.type_string() }}) as onset_text,
    coalesce(timed.onset_date, timed.onset_started_date) as onset_date,
    coalesce(timed.onset_at, timed.onset_started_at) as onset_at,
    cast(coalesce(timed.onset_precision, timed.onset_started_precision) as {{ dbt.type_string() }}) as onset_precision,
    cast(
        coalesce(timed.abatement_text, timed.abatement_ended_text, timed.abatement_started_text)
        as {{ dbt.type_string() }}
    ) as abatement_text,
    coalesce(timed.abatement_date, timed.abatement_ended_date, timed.abatement_started_date) as abatement_date,
    coalesce(timed.abatement_at, timed.abatement_ended_at, timed.abatement_started_at) as abatement_at,
    cast(
        coalesce(timed.abatement_precision, timed.abatement_ended_precision, timed.abatement_started_precision)
        as {{ dbt.type_string() }}
    ) as abatement_precision,
    cast(timed.recorded_text as {{ dbt.type_string() }}) as recorded_text,
    timed.recorded_date,
    timed.recorded_at,
    cast(timed.recorded_precision as {{ dbt.type_string() }}) as recorded_precision
from timed
{{ patient_that_held('timed') }}
{{ practitioner_that_held('timed') }}
