{{ config(materialized='table', post_hook=list_of_keys()) }}

with records as (
    select
        'fhir' as source_id,
        patient_id,
        false as is_inferred
    from {{ ref('snap_fhir__patients') }}
    where is_current
    union all
    select
        'lab',
        patient_source_id,
        false
    from {{ ref('snap_lab__patients') }}
    where is_current
    union all
    select
        source_id,
        patient_id,
        true
    from {{ ref('int_patients__inferred') }}
),

identities as (
    select * from {{ ref('int_persons__identities') }}
    where valid_to = {{ end_of_time() }}
),

keyed as (
    select
        records.source_id,
        records.patient_id,
        coalesce(
            identities.person_key, {{ person_key('records.source_id', 'records.patient_id') }}
        ) as patient_key,
        coalesce(identities.rule, 'alone') as rule,
        records.is_inferred
    from records
    left join identities
        on records.source_id = identities.source_id and records.patient_id = identities.patient_id
)

select
    source_id,
    patient_id,
    patient_key,
    rule,
    patient_key = {{ person_key('source_id', 'patient_id') }} as is_representative,
    is_inferred
from keyed
