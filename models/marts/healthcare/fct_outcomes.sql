{{ config(indexes=[
    {'columns': ['outcome_key'], 'unique': true}, {'columns': ['patient_key']}, {'columns': ['measure_code', 'month_date']},
]) }}

with measured as (
    select * from {{ outcomes_of_readmission() }} as readmissions
    union all
    select * from {{ outcomes_of_blood_pressure() }} as blood_pressures
    union all
    select * from {{ outcomes_of_immunization() }} as immunizations
    union all
    select * from {{ outcomes_of_length_of_stay() }} as lengths
    union all
    select * from {{ outcomes_of_turnaround() }} as turnarounds
),

counted as (
    select
        measured.*,
        {{ month_start('measured.event_date') }} as month_date,
        measures.measure_kind = 'share' as is_share,
        measures.is_lower_better,
        measured.exclusion_reason is null as is_in_denominator,
        measured.exclusion_reason is null and measured.numerator_count > 0 as is_in_numerator
    from measured
    inner join {{ ref('measures') }} as measures on measured.measure_code = measures.measure_code
    {{ computed_once() }}
)

select
    {{ surrogate_key(["'outcome'", 'counted.measure_code', 'counted.month_date', 'counted.subject_key']) }}
        as outcome_key,
    counted.patient_key,
    coalesce(patients.patient_version_key, {{ unknown_key() }}) as patient_version_key,
    counted.encounter_key,
    counted.lab_result_key,
    cast(counted.measure_code as {{ dbt.type_string() }}) as measure_code,
    cast(counted.exclusion_reason as {{ dbt.type_string() }}) as exclusion_reason,
    counted.is_in_denominator,
    counted.is_in_numerator,
    not counted.is_in_denominator as is_excluded,
    counted.is_share and counted.is_in_denominator and counted.is_in_numerator = counted.is_lower_better as is_failing,
    cast(case when counted.is_in_denominator then counted.numerator_count else 0 end as bigint) as numerator_count,
    cast(case when counted.is_in_denominator then 1 else 0 end as bigint) as denominator_count,
    counted.month_date,
    counted.event_date,
    counted.event_at
from counted
left join {{ ref('dim_patients') }} as patients
    on
        counted.patient_key = patients.patient_key
        and counted.event_at >= patients.valid_from
        and counted.event_at < patients.valid_to
