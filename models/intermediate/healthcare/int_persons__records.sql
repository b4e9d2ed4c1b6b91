with patients as (
    select * from {{ latest_versions(ref('stg_fhir__patients'), 'patient_id') }} as latest
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
