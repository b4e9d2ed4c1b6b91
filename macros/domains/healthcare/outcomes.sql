{#  What outcomes are measured of: docs/decisions/outcomes.md. Each is a subquery of what one measure is about, with what it
    adds to the numerator, and the reason why it is left out, if it is. Nothing that was entered in error is in any. #}

{# Persons and the months in which they were seen. #}
{% macro persons_seen() -%}
(
    select
        patient_key,
        {{ month_start('event_date') }} as month_date
    from {{ ref('fct_encounters') }}
    where
        not is_entered_in_error
        and encounter_status in {{ statuses_that_took_place() }}
        and patient_key <> {{ unknown_key() }}
    group by 1, 2
)
{%- endmacro %}

{#  Stays by the month of discharge. In the numerator is one after which the person is back within 30 days, as
    fct_inpatient_stays says of a stay that follows; what goes on in another stay was no discharge. #}
{% macro outcomes_of_readmission() -%}
(
    select
        'readmission_30_days' as measure_code,
        stays.encounter_key as subject_key,
        stays.patient_key,
        stays.encounter_key,
        cast(null as uuid) as lab_result_key,
        stays.ended_date as event_date,
        stays.ended_at as event_at,
        coalesce(next_stays.readmission_number, 0) as numerator_count,
        case
            when stays.patient_key = {{ unknown_key() }} then 'patient_unknown'
            when stays.ended_at < stays.started_at then 'ends_before_it_starts'
            when
                stays.discharge_disposition_code = 'exp'
                or (patients.deceased_precision = 'day' and patients.deceased_date <= stays.ended_date)
                or (patients.deceased_precision <> 'day' and patients.deceased_at <= stays.ended_at)
                then 'died_in_stay'
            when next_stays.overlap_number = 1 then 'goes_on_in_another_stay'
            when {{ seconds_between('stays.ended_at', 'as_of.as_of_at') }} < {{ seconds_of_readmission() }} then 'too_recent'
        end as exclusion_reason
    from {{ ref('fct_inpatient_stays') }} as stays
    cross join {{ ref('int_healthcare__as_of') }} as as_of
    inner join {{ ref('dim_patients') }} as patients on stays.patient_key = patients.patient_key and patients.is_current
    -- Several may follow one stay, where one of them has no end or ends before it starts.
    left join (
        select
            previous_encounter_key,
            max(case when is_readmission_within_30_days then 1 else 0 end) as readmission_number,
            max(case when is_overlapping then 1 else 0 end) as overlap_number
        from {{ ref('fct_inpatient_stays') }}
        group by previous_encounter_key
    ) as next_stays
        on stays.encounter_key = next_stays.previous_encounter_key
    where stays.ended_date is not null
)
{%- endmacro %}

{# Nights of the stays by the month of discharge. #}
{% macro outcomes_of_length_of_stay() -%}
(
    select
        'length_of_stay' as measure_code,
        encounter_key as subject_key,
        patient_key,
        encounter_key,
        cast(null as uuid) as lab_result_key,
        ended_date as event_date,
        ended_at as event_at,
        night_count as numerator_count,
        case when ended_at < started_at then 'ends_before_it_starts' end as exclusion_reason
    from {{ ref('fct_inpatient_stays') }}
    where ended_date is not null
)
{%- endmacro %}

{#  Persons with hypertension in the months in which they were seen or measured. What holds is the last day of the month with
    both pressures, and of that day the lowest of each; the age is that which is reached in the year. #}
{% macro outcomes_of_blood_pressure() -%}
(
    with readings as (
        select
            observations.patient_key,
            observations.event_date,
            min(case when codes.code_role = 'systolic' then observations.canonical_value_number end) as systolic,
            min(case when codes.code_role = 'diastolic' then observations.canonical_value_number end) as diastolic
        from {{ ref('fct_observations') }} as observations
        inner join {{ ref('measure_codes') }} as codes
            on
                codes.measure_code = 'blood_pressure_control'
                and codes.code_role in ('systolic', 'diastolic')
                and observations.observation_system = codes.code_system
                and observations.observation_code = codes.code
        where
            observations.observation_status in ('final', 'amended', 'corrected')
            and observations.canonical_unit_code = 'mm[Hg]'
            and observations.value_comparator is null
            and observations.patient_key <> {{ unknown_key() }}
        group by observations.patient_key, observations.event_date
    ),

    measured as (
        select
            *,
            {{ month_start('event_date') }} as month_date,
            row_number() over (partition by patient_key, {{ month_start('event_date') }} order by event_date desc) as place
        from readings
        where systolic is not null and diastolic is not null
    ),

    last_readings as (
        select * from measured
        where place = 1
    ),

    person_months as (
        select
            seen.patient_key,
            seen.month_date
        from {{ persons_seen() }} as seen
        union
        select
            patient_key,
            month_date
        from last_readings
    ),

    hypertensive as (
        select
            person_months.patient_key,
            person_months.month_date
        from person_months
        inner join {{ ref('fct_conditions') }} as conditions
            on
                person_months.patient_key = conditions.patient_key
                and conditions.event_date <= {{ month_end('person_months.month_date') }}
                and (not conditions.has_abatement or conditions.abatement_date >= person_months.month_date)
        inner join {{ ref('measure_codes') }} as codes
            on
                codes.measure_code = 'blood_pressure_control'
                and codes.code_role = 'condition'
                and conditions.condition_system = codes.code_system
                and conditions.condition_code = codes.code
        where not conditions.is_entered_in_error and not conditions.is_refuted
        group by person_months.patient_key, person_months.month_date
    )

    select
        'blood_pressure_control' as measure_code,
        hypertensive.patient_key as subject_key,
        hypertensive.patient_key,
        cast(null as uuid) as encounter_key,
        cast(null as uuid) as lab_result_key,
        {{ month_end('hypertensive.month_date') }} as event_date,
        {{ business_day_end(month_end('hypertensive.month_date')) }} as event_at,
        case when last_readings.systolic < 140 and last_readings.diastolic < 90 then 1 else 0 end as numerator_count,
        case
            when
                patients.birth_precision is null
                or extract(year from hypertensive.month_date)
                - cast(substring(patients.birth_text, 1, 4) as integer) not between 18 and 85
                then 'other_age'
            when last_readings.patient_key is null then 'not_measured'
        end as exclusion_reason
    from hypertensive
    inner join {{ ref('dim_patients') }} as patients
        on hypertensive.patient_key = patients.patient_key and patients.is_current
    left join last_readings
        on hypertensive.patient_key = last_readings.patient_key and hypertensive.month_date = last_readings.month_date
)
{%- endmacro %}

{#  Persons in the months in which they were seen. In the numerator is who was given the vaccine within the twelve months that
    end with the month; one that was not given, and says so, is an exception where no other was. #}
{% macro outcomes_of_immunization() -%}
(
    with doses as (
        select
            immunizations.patient_key,
            immunizations.occurred_date,
            immunizations.is_given
        from {{ ref('fct_immunizations') }} as immunizations
        inner join {{ ref('measure_codes') }} as codes
            on
                codes.measure_code = 'influenza_immunization'
                and codes.code_role = 'vaccine'
                and immunizations.vaccine_system = codes.code_system
                and immunizations.vaccine_code = codes.code
        where not immunizations.is_entered_in_error and immunizations.occurred_date is not null
    ),

    seen as (
        select * from {{ persons_seen() }} as persons
    ),

    -- An inner join: of an outer one that compares what is made of both sides, DuckDB compares all rows with all.
    told as (
        select
            seen.patient_key,
            seen.month_date,
            max(case when doses.is_given then 1 else 0 end) as given_number,
            max(case when doses.is_given then 0 else 1 end) as not_given_number
        from seen
        inner join doses
            on
                seen.patient_key = doses.patient_key
                and {{ months_between('doses.occurred_date', 'seen.month_date') }} between 0 and 11
        group by seen.patient_key, seen.month_date
    ),

    covered as (
        select
            seen.patient_key,
            seen.month_date,
            coalesce(told.given_number, 0) as given_number,
            coalesce(told.not_given_number, 0) as not_given_number
        from seen
        left join told on seen.patient_key = told.patient_key and seen.month_date = told.month_date
    )

    select
        'influenza_immunization' as measure_code,
        patient_key as subject_key,
        patient_key,
        cast(null as uuid) as encounter_key,
        cast(null as uuid) as lab_result_key,
        {{ month_end('month_date') }} as event_date,
        {{ business_day_end(month_end('month_date')) }} as event_at,
        given_number as numerator_count,
        case when given_number = 0 and not_given_number = 1 then 'not_given_for_a_reason' end as exclusion_reason
    from covered
)
{%- endmacro %}

{# Laboratory results by the month in which the specimen was taken: whether they were first final within 24 hours. #}
{% macro outcomes_of_turnaround() -%}
(
    with versions as (
        select
            *,
            min(case when is_final then valid_from end) over (partition by lab_result_key) as first_final_at,
            row_number() over (partition by lab_result_key order by valid_from desc) as place
        from {{ ref('fct_lab_results') }}
    ),

    results as (
        select * from versions
        where place = 1
    )

    select
        'lab_turnaround' as measure_code,
        results.lab_result_key as subject_key,
        results.patient_key,
        cast(null as uuid) as encounter_key,
        results.lab_result_key,
        coalesce(results.observed_date, {{ business_date('results.valid_from') }}) as event_date,
        coalesce(results.observed_at, results.valid_from) as event_at,
        case
            when {{ seconds_between('results.observed_at', 'results.first_final_at') }} between 0 and 86400 then 1
            else 0
        end as numerator_count,
        case
            when results.is_deleted or not results.is_current then 'withdrawn'
            when results.observed_at is null or coalesce(results.observed_precision, 'day') in ('year', 'month', 'day')
                then 'time_unknown'
            when results.first_final_at < results.observed_at then 'final_before_taken'
            when
                results.first_final_at is null
                and {{ seconds_between('results.observed_at', 'as_of.as_of_at') }} <= 86400
                then 'too_recent'
        end as exclusion_reason
    from results
    cross join {{ ref('int_healthcare__as_of') }} as as_of
)
{%- endmacro %}
