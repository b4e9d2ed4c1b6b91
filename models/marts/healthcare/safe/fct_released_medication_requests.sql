with released as (
    select * from {{ ref('int_patients__released') }}
),

events as (
    select
        released.release_key as patient_key,
        coalesce(codes.code_key, {{ unknown_key() }}) as code_key,
        {{ released_value(
            'requests.intent',
            ['proposal', 'plan', 'order', 'original-order',
            'reflex-order', 'filler-order', 'instance-order', 'option']
        ) }} as intent,
        {{ released_value(
            'requests.request_status',
            ['active', 'on-hold', 'cancelled',
            'completed', 'stopped', 'draft', 'unknown']
        ) }} as request_status,
        requests.is_active,
        requests.is_prohibition,
        {{ released_year('requests.event_date', 'released.reference_year') }} as event_year
    from {{ ref('fct_medication_requests') }} as requests
    inner join released on requests.patient_key = released.patient_key
    left join {{ ref('dim_released_codes') }} as codes on requests.code_key = codes.code_key
    where not requests.is_entered_in_error
),

numbered as (
    select
        *,
        {{ released_number(
            ['code_key', 'intent', 'request_status', 'is_active', 'is_prohibition'],
            ['intent', 'request_status']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as medication_request_key,
    patient_key,
    code_key,
    intent,
    request_status,
    is_active,
    is_prohibition,
    event_year
from numbered
