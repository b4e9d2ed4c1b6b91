with released as (
    select * from {{ ref('int_patients__released') }}
),

events as (
    select
        released.release_key as patient_key,
        coalesce(codes.code_key, {{ unknown_key() }}) as code_key,
        {{ released_value(
            'procedures.procedure_status',
            ['preparation', 'in-progress', 'not-done',
            'on-hold', 'stopped', 'completed', 'unknown']
        ) }} as procedure_status,
        procedures.is_completed,
        {{ released_year('procedures.event_date', 'released.reference_year') }} as event_year
    from {{ ref('fct_procedures') }} as procedures
    inner join released on procedures.patient_key = released.patient_key
    left join {{ ref('dim_released_codes') }} as codes on procedures.code_key = codes.code_key
    where not procedures.is_entered_in_error
),

numbered as (
    select
        *,
        {{ released_number(
            ['code_key', 'procedure_status', 'is_completed'],
            ['procedure_status']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as procedure_key,
    patient_key,
    code_key,
    procedure_status,
    is_completed,
    event_year
from numbered
