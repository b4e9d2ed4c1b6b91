with released as (
    select * from {{ ref('int_patients__released') }}
),

encounters as (
    select
        *,
        case
            when not is_backward then cast({{ days_between('started_date', 'ended_date') }} as bigint)
        end as night_count
    from {{ ref('fct_encounters') }}
    where not is_entered_in_error
),

events as (
    select
        released.release_key as patient_key,
        coalesce(codes.code_key, {{ unknown_key() }}) as code_key,
        coalesce(reasons.code_key, {{ unknown_key() }}) as reason_code_key,
        {{ released_value(
            'encounters.encounter_class',
            [
                'AMB', 'EMER', 'FLD', 'HH', 'IMP', 'ACUTE', 'NONAC', 'OBSENC', 'PRENC', 'SS', 'VR'
            ]
        ) }} as encounter_class,
        {{ released_value(
            'encounters.encounter_status',
            [
                'planned', 'arrived', 'triaged', 'in-progress', 'onleave', 'finished', 'cancelled',
                'unknown'
            ]
        ) }} as encounter_status,
        encounters.is_finished,
        {{ released_count('encounters.night_count', most_nights()) }} as night_count,
        {{ released_year('encounters.event_date', 'released.reference_year') }} as event_year
    from encounters
    inner join released on encounters.patient_key = released.patient_key
    left join {{ ref('dim_released_codes') }} as codes on encounters.code_key = codes.code_key
    left join {{ ref('dim_released_codes') }} as reasons on encounters.reason_code_key = reasons.code_key
),

numbered as (
    select
        *,
        {{ released_number(
            ['code_key', 'reason_code_key', 'encounter_class', 'encounter_status', 'is_finished', 'night_count'],
            ['encounter_class', 'encounter_status']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as encounter_key,
    patient_key,
    code_key,
    reason_code_key,
    encounter_class,
    encounter_status,
    is_finished,
    night_count,
    event_year
from numbered
