with released as (
    select * from {{ ref('int_patients__released') }}
),

patients as (
    select
        released.release_key,
        released.reference_year,
        patients.birth_sex,
        patients.gender,
        patients.race_code,
        patients.ethnicity_code,
        patients.is_deceased,
        patients.deceased_date,
        patients.birth_date,
        {{ whole_years('patients.birth_date', 'released.reference_date') }} as age,
        case
            when {{ is_in_states('patients.country') }} and patients.postal_code ~ '^[0-9]{5}(-?[0-9]{4})?$'
                then substring(patients.postal_code, 1, 3)
        end as zip3,
        case when {{ is_in_states('patients.country') }} then upper(patients.state) end as state
    from released
    inner join {{ ref('dim_patients') }} as patients
        on released.patient_key = patients.patient_key and patients.is_current
)

select
    patients.release_key as patient_key,
    {{ age_group('patients.age') }} as age_group,
    case when patients.age between 0 and 89 then {{ year_number('patients.birth_date') }} end as birth_year,
    case when patients.gender in ('male', 'female', 'other') then patients.gender else 'unknown' end as gender,
    case when patients.birth_sex in ('M', 'F') then patients.birth_sex else 'unknown' end as birth_sex,
    case
        when patients.race_code in ('1002-5', '2028-9', '2054-5', '2076-8', '2106-3', '2131-1') then patients.race_code
        else 'unknown'
    end as race_code,
    case when patients.ethnicity_code in ('2135-2', '2186-5') then patients.ethnicity_code else 'unknown' end
        as ethnicity_code,
    coalesce({{ released_value('patients.state', states()) }}, 'unknown') as state,
    -- An area of 20,000 people or fewer, and one that isn't known, is 000.
    coalesce(areas.zip3, '000') as zip3,
    patients.is_deceased,
    {{ released_year('patients.deceased_date', 'patients.reference_year') }} as death_year
from patients
left join {{ ref('zip3_areas') }} as areas on patients.zip3 = areas.zip3 and areas.is_populous
union all
select
    {{ unknown_key() }}, 'unknown', null, 'unknown', 'unknown', 'unknown', 'unknown', 'unknown', '000', false, null
