select
    {{ surrogate_key(['source_id', 'patient_id', 'valid_from']) }} as person_version_key,
    person_key,
    source_id,
    patient_id,
    rule,
    valid_from,
    valid_to
from {{ ref('int_persons__identities') }}
