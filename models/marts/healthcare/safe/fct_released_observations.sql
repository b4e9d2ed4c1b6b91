with released as (
    select * from {{ ref('int_patients__released') }}
),

events as (
    select
        released.release_key as patient_key,
        coalesce(codes.code_key, {{ unknown_key() }}) as code_key,
        coalesce(answers.code_key, {{ unknown_key() }}) as value_code_key,
        {{ released_value(
            'observations.observation_status',
            [
                'registered', 'preliminary', 'final', 'amended', 'corrected', 'cancelled', 'unknown'
            ]
        ) }} as observation_status,
        observations.is_component,
        observations.value_boolean,
        {{ released_value('observations.value_comparator', ['<', '<=', '>', '>=']) }} as value_comparator,
        {{ released_quantity(
            'observations.canonical_value_number', 'observations.canonical_unit_code', 'observations.observation_code'
        ) }} as canonical_value_number,
        observations.canonical_unit_code,
        {{ released_year('observations.event_date', 'released.reference_year') }} as event_year
    from {{ ref('fct_observations') }} as observations
    inner join released on observations.patient_key = released.patient_key
    left join {{ ref('dim_released_codes') }} as codes on observations.code_key = codes.code_key
    left join {{ ref('dim_released_codes') }} as answers on observations.value_code_key = answers.code_key
    where not observations.is_entered_in_error
),

numbered as (
    select
        *,
        {{ released_number(
            [
                'code_key', 'value_code_key', 'observation_status', 'is_component', 'value_boolean', 'value_comparator',
                'canonical_value_number', 'canonical_unit_code'
            ],
            ['observation_status', 'value_comparator', 'canonical_unit_code']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as observation_key,
    patient_key,
    code_key,
    value_code_key,
    observation_status,
    is_component,
    value_boolean,
    value_comparator,
    cast(canonical_value_number as numeric(28, 6)) as canonical_value_number,
    canonical_unit_code,
    event_year
from numbered
