with released as (
    select * from {{ ref('int_patients__released') }}
),

events as (
    select
        released.release_key as patient_key,
        coalesce(codes.code_key, {{ unknown_key() }}) as code_key,
        {{ released_value('immunizations.immunization_status', ['completed', 'not-done']) }} as immunization_status,
        immunizations.is_given,
        {{ released_count('immunizations.dose_number', 99) }} as dose_number,
        {{ released_year('immunizations.event_date', 'released.reference_year') }} as event_year
    from {{ ref('fct_immunizations') }} as immunizations
    inner join released on immunizations.patient_key = released.patient_key
    left join {{ ref('dim_released_codes') }} as codes on immunizations.code_key = codes.code_key
    where not immunizations.is_entered_in_error
),

numbered as (
    select
        *,
        {{ released_number(
            ['code_key', 'immunization_status', 'is_given', 'dose_number'],
            ['immunization_status']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as immunization_key,
    patient_key,
    code_key,
    immunization_status,
    is_given,
    dose_number,
    event_year
from numbered
