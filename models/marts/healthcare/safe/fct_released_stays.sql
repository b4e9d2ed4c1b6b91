with released as (
    select * from {{ ref('int_patients__released') }}
),

events as (
    select
        released.release_key as patient_key,
        stays.encounter_class,
        stays.is_open,
        stays.is_readmission_within_30_days,
        {{ released_count('stays.night_count', most_nights()) }} as night_count,
        {{ released_year('stays.started_date', 'released.reference_year') }} as event_year
    from {{ ref('fct_inpatient_stays') }} as stays
    inner join released on stays.patient_key = released.patient_key
),

numbered as (
    select
        *,
        {{ released_number(
            ['encounter_class', 'is_open', 'is_readmission_within_30_days', 'night_count'],
            ['encounter_class']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as stay_key,
    patient_key,
    encounter_class,
    is_open,
    is_readmission_within_30_days,
    night_count,
    event_year
from numbered
