-- Patients, practitioners, places, encounters and conditions that records name are known, unless their records wait
-- among the rejects. A warning: an export may be of a part of the records, and only people there know what is missing.
{{ config(severity='warn', meta={'quality_dimension': 'consistency'}) }}

{#- Of each fact what it calls a record, which practitioner or place it names, which encounter, and which condition. -#}
{%- set facts = {
    'fct_conditions': ('condition_id', 'practitioner_key', 'encounter_key', none),
    'fct_encounters': ('encounter_id', 'facility_key', 'part_of_encounter_key', none),
    'fct_immunizations': ('immunization_id', 'facility_key', 'encounter_key', none),
    'fct_medication_requests': ('medication_request_id', 'practitioner_key', 'encounter_key', 'reason_condition_key'),
    'fct_observations': ('observation_id', none, 'encounter_key', none),
    'fct_procedures': ('procedure_id', 'facility_key', 'encounter_key', 'reason_condition_key'),
} %}

with facts as (
    {%- for fact, (key, named, encounter, reason) in facts.items() %}
    select
        '{{ fact }}' as fact_name,
        {{ key }} as record_id,
        patient_key,
        {{ named ~ ' = ' ~ unknown_key() if named else 'false' }} as names_unknown,
        {{ encounter }} as encounter_key,
        {{ reason or 'cast(null as uuid)' }} as reason_condition_key
    from {{ ref(fact) }}
    {%- if fact == 'fct_observations' %}
    where not is_component
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

encounters as (
    select {{ care_key('encounter', 'encounter_id') }} as encounter_key
    from {{ ref('stg_fhir__encounters') }}
    group by encounter_id
    union
    select {{ care_key('encounter', 'waiting.value') }}
    from ({{ open_rejects('fhir', 'encounters', 'id') }}) as waiting
),

conditions as (
    select condition_key from {{ ref('fct_conditions') }}
    union
    select {{ care_key('condition', 'waiting.value') }}
    from ({{ open_rejects('fhir', 'conditions', 'id') }}) as waiting
),

patients as (
    select patient_key from {{ ref('dim_patients') }}
    where is_inferred
    except
    select {{ person_key("'fhir'", 'waiting.value') }}
    from ({{ open_rejects('fhir', 'patients', 'id') }}) as waiting
)

select
    facts.fact_name,
    facts.record_id,
    case
        when facts.names_unknown then 'names a practitioner or place that is not known'
        when patients.patient_key is not null then 'names a patient whom no source shows'
        when facts.encounter_key is not null and encounters.encounter_key is null then 'names an unknown encounter'
        else 'names an unknown condition'
    end as violation
from facts
left join patients on facts.patient_key = patients.patient_key
left join encounters on facts.encounter_key = encounters.encounter_key
left join conditions on facts.reason_condition_key = conditions.condition_key
where
    facts.names_unknown
    or patients.patient_key is not null
    or (facts.encounter_key is not null and encounters.encounter_key is null)
    or (facts.reason_condition_key is not null and conditions.condition_key is null)
