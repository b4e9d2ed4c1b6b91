with patients as (
    select * from {{ latest_versions(ref('stg_fhir__patients'), 'patient_id') }} as latest
),

-- A message names its patient anew each time; the newest message is what the laboratory says now.
laboratory_patients as (
    select * from {{ latest_versions(ref('stg_lab__patients'), 'patient_source_id') }} as latest
    where patient_source_id is not null
)

select
    'fhir' as source_id,
    patient_id,
    ssn_token,
    given_name_token,
    family_name_token,
    birth_text as birth_date,
    street_token,
    postal_code
from patients
union all
select
    'lab' as source_id,
    patient_source_id as patient_id,
    ssn_token,
    given_name_token,
    family_name_token,
    {{ day_as_told('birth_date', 'birth_precision') }} as birth_date,
    street_token,
    postal_code
from laboratory_patients
