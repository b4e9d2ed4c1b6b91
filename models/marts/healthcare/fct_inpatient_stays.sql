{{ config(indexes=[{'columns': ['encounter_key'], 'unique': true}, {'columns': ['patient_key']}]) }}

with stays as (
    select * from {{ ref('fct_encounters') }}
    where
        encounter_class in {{ classes_of_stays() }}
        and encounter_status in {{ statuses_that_took_place() }}
        and started_date is not null
),

ordered as (
    select
        stays.*,
        row_number() over (
            partition by stays.patient_key
            order by stays.started_at, stays.ended_at, {{ binary_order('stays.encounter_id') }}
        ) as place
    from stays
),

-- The one before is the one that ended last of those that began before: another may lie within it. The stays of nobody
-- known are nobody's before or after.
earlier as (
    select
        ordered.encounter_key,
        others.encounter_key as previous_encounter_key,
        others.ended_at as previous_ended_at,
        others.ended_date as previous_ended_date,
        row_number() over (
            partition by ordered.encounter_key order by others.ended_at desc, others.place desc
        ) as nearness
    from ordered
    inner join ordered as others
        on
            ordered.patient_key = others.patient_key
            and ordered.place > others.place
            and ordered.patient_key <> {{ unknown_key() }}
            and others.ended_at is not null
)

select
    ordered.encounter_key,
    ordered.source_key,
    ordered.patient_key,
    ordered.patient_version_key,
    ordered.facility_key,
    ordered.facility_version_key,
    earlier.previous_encounter_key,
    ordered.encounter_class,
    ordered.discharge_disposition_code,
    ordered.ended_date is null as is_open,
    cast({{ days_between('ordered.started_date', 'ordered.ended_date') }} as bigint) as night_count,
    cast({{ days_between('earlier.previous_ended_date', 'ordered.started_date') }} as bigint) as days_since_previous,
    coalesce(
        ordered.started_at >= earlier.previous_ended_at
        and {{ seconds_between('earlier.previous_ended_at', 'ordered.started_at') }} <= {{ seconds_of_readmission() }},
        false
    ) as is_readmission_within_30_days,
    coalesce(ordered.started_at < earlier.previous_ended_at, false) as is_overlapping,
    ordered.started_date,
    ordered.started_at,
    ordered.ended_date,
    ordered.ended_at
from ordered
left join earlier on ordered.encounter_key = earlier.encounter_key and earlier.nearness = 1
