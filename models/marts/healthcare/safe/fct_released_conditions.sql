with released as (
    select * from {{ ref('int_patients__released') }}
),

events as (
    select
        released.release_key as patient_key,
        coalesce(codes.code_key, {{ unknown_key() }}) as code_key,
        {{ released_value(
            'conditions.clinical_status',
            ['active', 'recurrence', 'relapse',
            'inactive', 'remission', 'resolved']
        ) }} as clinical_status,
        {{ released_value(
            'conditions.verification_status',
            ['unconfirmed', 'provisional',
            'differential', 'confirmed', 'refuted']
        ) }} as verification_status,
        conditions.is_active,
        {{ released_year('conditions.event_date', 'released.reference_year') }} as event_year
    from {{ ref('fct_conditions') }} as conditions
    inner join released on conditions.patient_key = released.patient_key
    left join {{ ref('dim_released_codes') }} as codes on conditions.code_key = codes.code_key
    where not conditions.is_entered_in_error
),

numbered as (
    select
        *,
        {{ released_number(
            ['code_key', 'clinical_status', 'verification_status', 'is_active'],
            ['clinical_status', 'verification_status']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as condition_key,
    patient_key,
    code_key,
    clinical_status,
    verification_status,
    is_active,
    event_year
from numbered
