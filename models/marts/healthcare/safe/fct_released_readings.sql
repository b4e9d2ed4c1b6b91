with released as (
    select * from {{ ref('int_patients__released') }}
),

-- Whose a reading is: whom the observation names, else who wore the device. Where these differ it may be either's.
readings as (
    select
        readings.*,
        observations.observation_code,
        case
            when readings.patient_key <> {{ unknown_key() }} then readings.patient_key
            else readings.wearer_patient_key
        end as whose_key
    from {{ ref('fct_device_readings') }} as readings
    inner join {{ ref('fct_observations') }} as observations
        on readings.reading_key = observations.observation_part_key
    where not readings.is_of_another and not readings.is_entered_in_error
),

events as (
    select
        released.release_key as patient_key,
        coalesce(codes.code_key, {{ unknown_key() }}) as code_key,
        {{ released_value('readings.value_comparator', ['<', '<=', '>', '>=']) }} as value_comparator,
        {{ released_quantity(
            'readings.canonical_value_number', 'readings.canonical_unit_code', 'readings.observation_code'
        ) }} as canonical_value_number,
        readings.canonical_unit_code,
        {{ released_year('readings.event_date', 'released.reference_year') }} as event_year
    from readings
    inner join released on readings.whose_key = released.patient_key
    left join {{ ref('dim_released_codes') }} as codes on readings.code_key = codes.code_key
),

numbered as (
    select
        *,
        {{ released_number(
            ['code_key', 'value_comparator', 'canonical_value_number', 'canonical_unit_code'],
            ['value_comparator', 'canonical_unit_code']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as reading_key,
    patient_key,
    code_key,
    value_comparator,
    cast(canonical_value_number as numeric(28, 6)) as canonical_value_number,
    canonical_unit_code,
    event_year
from numbered
