{{ config(materialized='table') }}
-- Who may be released now, and under which key. Nobody without a consent that allows it, or without a key.
with as_of as (
    select * from {{ ref('int_healthcare__as_of') }}
),

releases as (
    select *
    from {{ latest_versions(
        ref('stg_release_keys__keys'), ['release_number', 'source_id', 'person_id']
    ) }} as latest
),

present as (
    select max(release_number) as release_number from releases
),

-- Who is said to have died before birth, or of whom no birth is known, is of whatever age they would be now.
patients as (
    select
        *,
        case when deceased_date >= birth_date then deceased_date end as reference_death_date
    from {{ ref('int_patients__versions') }}
    where valid_to = {{ end_of_time() }} and not is_deleted
),

consented as (
    select consents.patient_key
    from {{ ref('int_consents__intervals') }} as consents
    cross join as_of
    where
        consents.is_research_allowed
        and as_of.as_of_at >= consents.valid_from
        and as_of.as_of_at < consents.valid_to
)

select
    consented.patient_key,
    releases.release_key,
    {{ year_number('coalesce(patients.reference_death_date, as_of.as_of_date)') }} as reference_year,
    coalesce(patients.reference_death_date, as_of.as_of_date) as reference_date
from consented
cross join as_of
cross join present
inner join {{ ref('int_patients__records') }} as records
    on consented.patient_key = records.patient_key and records.is_representative
inner join releases
    on
        records.source_id = releases.source_id
        and records.patient_id = releases.person_id
        and present.release_number = releases.release_number
inner join patients on consented.patient_key = patients.patient_key
