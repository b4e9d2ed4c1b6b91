-- noqa: disable=LT02
-- Codes of systems that everybody has; a code of a source's own might be anything, and so might one of somebody alone.
{%- set coded = {
    'fct_conditions': ['code_key'], 'fct_procedures': ['code_key'], 'fct_medication_requests': ['code_key'],
    'fct_immunizations': ['code_key'], 'fct_encounters': ['code_key', 'reason_code_key'],
    'fct_observations': ['code_key', 'value_code_key'],
} %}

with released as (
    select * from {{ ref('int_patients__released') }}
),

carried as (
    {%- for fact, keys in coded.items() %}
    {%- for key in keys %}
    select
        {{ key }} as code_key,
        patient_key
    from {{ ref(fact) }}
    where not is_entered_in_error
    union
    {%- endfor %}
    {%- endfor %}
    select
        {{ code_key(loinc(), 'loinc_code') }},
        patient_key
    from {{ ref('fct_lab_results') }}
    where not is_deleted
),

of_released as (
    select
        carried.code_key,
        count(*) as patient_count
    from carried
    left join released on carried.patient_key = released.patient_key
    -- Nobody known may be the one who carries it otherwise.
    where carried.patient_key <> {{ unknown_key() }}
    group by carried.code_key
    having count(released.patient_key) > 0
),

codes as (
    select
        code_key,
        code,
        code_system
    from {{ ref('dim_codes') }}
    union
    select
        {{ code_key(loinc(), 'loinc_code') }},
        loinc_code,
        {{ loinc() }}
    from {{ ref('fct_lab_results') }}
    where loinc_code is not null
)

select
    codes.code_key,
    cast(codes.code as {{ dbt.type_string() }}) as code,
    cast(codes.code_system as {{ dbt.type_string() }}) as code_system
from codes
inner join of_released on codes.code_key = of_released.code_key
where
    {{ is_written_as_code('codes.code', 'codes.code_system') }}
    -- LOINC's codes of terms end in a digit that is computed of the others; another, such as LOINC's of an answer, may
    -- be a number of somebody's.
    and ((codes.code_system = {{ loinc() }} and codes.code not like 'LA%') or of_released.patient_count >= 2)
union all
select
    {{ unknown_key() }},
    'unknown',
    'unknown'
