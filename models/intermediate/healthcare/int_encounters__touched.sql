-- noqa: disable=LT02
{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Encounters whose rows may no longer hold: new versions, touched patients, a service provider that changed since.
with new_loads as (
    {{ loads_new_to(['fct_encounters']) }}
),

all_changes as (
    select encounter_id
    from {{ ref('stg_fhir__encounters') }}
    where load_id in (select new_loads.load_id from new_loads)
    union
    select encounter_id
    from {{ ref('stg_fhir__encounters') }}
    where patient_id in (
        select patients.patient_id from {{ ref('int_patients__touched') }} as patients
        where patients.source_id = 'fhir'
    )
    union
    select records.encounter_id
    from {{ ref('stg_fhir__encounters') }} as records
    inner join {{ ref('int_facilities__touched') }} as facilities
        on
            {{ named_by_reference('records.service_provider_id', 'records.service_provider_reference') }}
            = facilities.reference_key
            and facilities.facility_kind = 'organization'
    where {{ event_at('encounters', 'records') }} >= facilities.changed_from
    {%- if within_backfill('valid_at') %}
    union
    select records.encounter_id
    from {{ ref('stg_fhir__encounters') }} as records
    where {{ within_backfill(event_date('encounters', 'records')) }}
    {%- endif %}
)

select
    encounter_id,
    {{ encounter_key('encounter_id') }} as encounter_key
from all_changes
