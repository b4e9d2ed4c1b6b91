-- All versions of all records, in one form: what persons are told by, and a hash of all that is followed of a record.
select
    {{ surrogate_key(["'fhir'", 'patient_id', 'valid_at', 'source_revision', 'is_deleted']) }} as told_key,
    'fhir' as source_id,
    patient_id,
    ssn_token,
    given_name_token,
    family_name_token,
    birth_text as birth_date,
    street_token,
    postal_code,
    {{ row_hash(['ssn_token', 'medical_record_number_token', 'family_name_token', 'given_name_token', 'street_token',
        'city', 'state', 'postal_code', 'country', 'gender', 'birth_text', 'deceased_text', 'is_deceased',
        'marital_status_code', 'race_code', 'ethnicity_code', 'birth_sex', 'is_inactive', 'is_deleted']) }}
        as content_hash,
    valid_at,
    load_id
from {{ ref('stg_fhir__patients') }}
union all
select
    {{ surrogate_key(["'lab'", 'message_id', 'segment_number', 'source_revision']) }},
    'lab',
    patient_source_id,
    ssn_token,
    given_name_token,
    family_name_token,
    {{ day_as_told('birth_date', 'birth_precision') }},
    street_token,
    postal_code,
    {{ row_hash(['ssn_token', 'family_name_token', 'given_name_token', 'street_token', 'city', 'state', 'postal_code',
        'country', 'sex_code', 'birth_date', 'birth_precision', 'deceased_at', 'deceased_date', 'deceased_precision',
        'is_deceased', 'race_code', 'ethnicity_code', 'is_deleted']) }},
    valid_at,
    load_id
from {{ ref('stg_lab__patients') }}
where patient_source_id is not null
