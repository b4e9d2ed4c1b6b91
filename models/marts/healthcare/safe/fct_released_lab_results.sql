with released as (
    select * from {{ ref('int_patients__released') }}
),

-- Each result as it is now.
results as (
    select
        results.*,
        {{ canonical_value('results.value_number', 'units') }} as canonical_value_number,
        units.canonical_unit_code
    from {{ ref('fct_lab_results') }} as results
    left join {{ ref('ucum_units') }} as units on {{ ucum_unit('results.unit_code') }} = units.unit_code
    where results.is_current and not results.is_deleted
),

events as (
    select
        released.release_key as patient_key,
        coalesce(codes.code_key, {{ unknown_key() }}) as code_key,
        {{ released_value(
            'results.result_status',
            [
                'amended', 'appended', 'corrected', 'final', 'pending', 'not asked', 'order detail',
                'preliminary', 'unverified', 'partial', 'verified', 'no result'
            ]
        ) }} as result_status,
        results.is_final,
        results.correction_count > 0 as is_corrected,
        {{ released_value('results.value_comparator', ['<', '<=', '>', '>=']) }} as value_comparator,
        {{ released_quantity(
            'results.canonical_value_number', 'results.canonical_unit_code', "coalesce(results.loinc_code, '')"
        ) }} as canonical_value_number,
        results.canonical_unit_code,
        {{ released_year('results.observed_date', 'released.reference_year') }} as event_year
    from results
    inner join released on results.patient_key = released.patient_key
    left join {{ ref('dim_released_codes') }} as codes
        on {{ code_key(loinc(), 'results.loinc_code') }} = codes.code_key
),

numbered as (
    select
        *,
        {{ released_number(
            ['code_key', 'result_status', 'is_final', 'is_corrected', 'value_comparator', 'canonical_value_number', 'canonical_unit_code'],
            ['result_status', 'value_comparator', 'canonical_unit_code']
        ) }} as event_number
    from events
)

select
    {{ surrogate_key(['patient_key', 'event_number']) }} as lab_result_key,
    patient_key,
    code_key,
    result_status,
    is_final,
    is_corrected,
    value_comparator,
    cast(canonical_value_number as numeric(28, 6)) as canonical_value_number,
    canonical_unit_code,
    event_year
from numbered
