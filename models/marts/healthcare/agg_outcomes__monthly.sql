with outcomes as (
    select
        measure_code,
        month_date,
        sum(numerator_count) as numerator_count,
        sum(denominator_count) as denominator_count,
        sum(case when is_excluded then 1 else 0 end) as exclusion_count,
        sum(case when is_failing then 1 else 0 end) as failing_count
    from {{ ref('fct_outcomes') }}
    group by measure_code, month_date
)

select
    {{ surrogate_key(["'outcomes'", 'outcomes.measure_code', 'outcomes.month_date']) }} as outcome_month_key,
    outcomes.measure_code,
    measures.measure_name,
    measures.is_lower_better,
    cast(outcomes.numerator_count as bigint) as numerator_count,
    cast(outcomes.denominator_count as bigint) as denominator_count,
    cast(outcomes.exclusion_count as bigint) as exclusion_count,
    cast(outcomes.failing_count as bigint) as failing_count,
    cast(
        {{ safe_divide('outcomes.numerator_count', 'outcomes.denominator_count') }} as numeric(18, 6)
    ) as outcome_value,
    outcomes.month_date
from outcomes
inner join {{ ref('measures') }} as measures on outcomes.measure_code = measures.measure_code
