{{ config(indexes=[{'columns': ['encounter_key'], 'unique': true}, {'columns': ['patient_key']}]) }}

with stays as (
    select * from {{ ref('fct_encounters') }}
    where
        encounter_class in ('{{ classes_of_stays() | join("', '") }}')
        and encounter_status in ('in-progress', 'onleave', 'finished')
        and started_date is not null
),

-- The stays of nobody known are nobody's before or after.
ordered as (
    select
        stays.*,
        lag(ended_at) over (
            partition by patient_key order by started_at, ended_at, {{ binary_order('encounter_id') }}
        ) as previous_ended_at,
        lag(ended_date) over (
            partition by patient_key order by started_at, ended_at, {{ binary_order('encounter_id') }}
        ) as previous_ended_date,
        lag(encounter_key) over (
            partition by patient_key order by started_at, ended_at, {{ binary_order('encounter_id') }}
        ) as previous_encounter_key
    from stays
),

followed as (
    select
        ordered.*,
        patient_key <> {{ unknown_key() }} and previous_encounter_key is not null as has_previous
    from ordered
)

select
    encounter_key,
    source_key,
    patient_key,
    patient_version_key,
    facility_key,
    facility_version_key,
    case when has_previous then previous_encounter_key end as previous_encounter_key,
    encounter_class,
    discharge_disposition_code,
    ended_date is null as is_open,
    cast({{ days_between('started_date', 'ended_date') }} as bigint) as night_count,
    cast(
        case when has_previous then {{ days_between('previous_ended_date', 'started_date') }} end as bigint
    ) as days_since_previous,
    coalesce(
        has_previous
        and started_at >= previous_ended_at
        and {{ seconds_between('previous_ended_at', 'started_at') }} <= 2592000,
        false
    ) as is_readmission_within_30_days,
    coalesce(has_previous and started_at < previous_ended_at, false) as is_overlapping,
    started_date,
    started_at,
    ended_date,
    ended_at
from followed
