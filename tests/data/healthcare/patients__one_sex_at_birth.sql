-- All versions of all records of a person say the same sex at birth, those that say one.
-- A warning: which of the two is right, or whether two people were taken for one, only the clinic can say.
{{ config(severity='warn', meta={'quality_dimension': 'consistency'}) }}

with records as (
    select
        persons.patient_key,
        persons.patient_id,
        versions.birth_sex
    from {{ ref('snap_fhir__patients') }} as versions
    inner join {{ ref('int_patients__records') }} as persons
        on versions.patient_id = persons.patient_id and persons.source_id = 'fhir'
    where versions.birth_sex in ('F', 'M') and not versions.is_deleted
)

select
    patient_key,
    min({{ binary_order('patient_id') }}) as least_patient_id,
    max({{ binary_order('patient_id') }}) as greatest_patient_id,
    count(distinct birth_sex) as sex_count
from records
group by patient_key
having count(distinct birth_sex) > 1
