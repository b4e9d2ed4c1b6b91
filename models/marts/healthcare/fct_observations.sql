{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='observation_key',
    pre_hook="{{ remember_touched(ref('int_observations__touched'), 'int_observations__touched') }}",
    indexes=[
        {'columns': ['observation_part_key'], 'unique': true},
        {'columns': ['observation_key']},
        {'columns': ['patient_key']},
        {'columns': ['event_date']},
    ],
) }}
-- depends_on: {{ ref('int_observations__touched') }}
{%- set values = [
    'value_quantity', 'value_comparator', 'value_unit', 'value_unit_system', 'value_unit_code', 'value_code',
    'value_system', 'value_display', 'value_string', 'value_boolean', 'value_integer', 'absent_reason_code',
    'interpretation_code', 'reference_low', 'reference_high',
] %}

with observations as (
    select *
    from {{ latest_versions(
        ref('stg_fhir__observations'), 'observation_id', among_touched('observation_id')
    ) }} as latest
),

-- An observation, and each of its components, which has all but its code and value from it.
parts as (
    select
        observation_id,
        cast(-1 as bigint) as component_index,
        observation_code,
        observation_system,
        observation_display,
        {{ values | join(',\n        ') }}
    from observations
    union all
    select
        components.observation_id,
        components.component_index,
        components.component_code,
        components.component_system,
        components.component_display,
        components.{{ values | join(',\n        components.') }}
    from {{ ref('stg_fhir__observation_components') }} as components
    inner join observations
        on
            components.observation_id = observations.observation_id
            and components.valid_at = observations.valid_at
            and components.source_revision = observations.source_revision
            and components.load_id = observations.load_id
    {%- if is_incremental() %}
    where {{ has_touched_key('components', ['observation_id']) }}
    {%- endif %}
),

timed as (
    select
        parts.*,
        observations.patient_id,
        observations.encounter_id,
        observations.device_id,
        observations.category_code,
        observations.status,
        coalesce(
            observations.effective_precision, observations.effective_started_precision,
            observations.effective_instant_precision, observations.issued_precision
        ) as event_precision,
        {{ event_at('observations', 'observations') }} as event_at,
        {{ event_date('observations', 'observations') }} as event_date,
        coalesce(observations.status = 'entered-in-error', false) as is_entered_in_error,
        {{ ucum_unit('parts.value_unit_code') }} as unit
    from parts
    inner join observations on parts.observation_id = observations.observation_id
    {{ computed_once() }}
)

select
    {{ surrogate_key(["'observation'", "'fhir'", 'timed.observation_id', 'timed.component_index']) }}
        as observation_part_key,
    {{ care_key('observation', 'timed.observation_id') }} as observation_key,
    {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(patients.patient_version_key, {{ unknown_key() }}) as patient_version_key,
    {{ care_key('device', 'timed.device_id') }} as device_key,
    {{ care_key('encounter', 'timed.encounter_id') }} as encounter_key,
    {{ code_key('timed.observation_system', 'timed.observation_code') }} as code_key,
    {{ code_key('timed.value_system', 'timed.value_code') }} as value_code_key,
    cast(timed.observation_id as {{ dbt.type_string() }}) as observation_id,
    timed.component_index,
    cast(timed.observation_code as {{ dbt.type_string() }}) as observation_code,
    cast(timed.observation_system as {{ dbt.type_string() }}) as observation_system,
    cast(timed.observation_display as {{ dbt.type_string() }}) as observation_display,
    cast(timed.category_code as {{ dbt.type_string() }}) as category_code,
    cast(timed.status as {{ dbt.type_string() }}) as observation_status,
    timed.component_index >= 0 as is_component,
    timed.is_entered_in_error,
    cast(coalesce(timed.value_quantity, timed.value_integer) as numeric(28, 8)) as value_number,
    cast(timed.value_comparator as {{ dbt.type_string() }}) as value_comparator,
    cast(timed.value_unit_code as {{ dbt.type_string() }}) as unit_code,
    cast(timed.value_unit_system as {{ dbt.type_string() }}) as unit_system,
    cast(
        case when timed.value_unit_system = {{ ucum() }} then {{ canonical_value('timed.value_quantity', 'units') }} end
        as numeric(28, 6)
    ) as canonical_value_number,
    cast(
        case when timed.value_unit_system = {{ ucum() }} then units.canonical_unit_code end
        as {{ dbt.type_string() }}
    ) as canonical_unit_code,
    case
        when timed.value_quantity is null then 'no quantity'
        when timed.value_unit_code is null then 'no unit'
        when coalesce(timed.value_unit_system, '') <> {{ ucum() }} then 'not a unit of UCUM'
        when units.unit_code is null then 'not a known unit'
    end as canonical_absent_reason,
    cast(timed.value_code as {{ dbt.type_string() }}) as value_code,
    cast(timed.value_system as {{ dbt.type_string() }}) as value_system,
    cast(timed.value_display as {{ dbt.type_string() }}) as value_display,
    cast(timed.value_string as {{ dbt.type_string() }}) as value_string,
    timed.value_boolean,
    cast(timed.absent_reason_code as {{ dbt.type_string() }}) as absent_reason_code,
    cast(timed.interpretation_code as {{ dbt.type_string() }}) as interpretation_code,
    cast(timed.reference_low as numeric(28, 8)) as reference_low,
    cast(timed.reference_high as numeric(28, 8)) as reference_high,
    timed.event_date,
    timed.event_at,
    cast(timed.event_precision as {{ dbt.type_string() }}) as event_precision
from timed
left join {{ ref('ucum_units') }} as units on timed.unit = units.unit_code
{{ patient_that_held('timed') }}
