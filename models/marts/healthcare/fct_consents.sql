{{ config(indexes=[{'columns': ['patient_key']}]) }}

with intervals as (
    select * from {{ ref('int_consents__intervals') }}
)

select
    {{ surrogate_key(["'consent'", "'fhir'", 'consent_id', 'valid_from']) }} as consent_interval_key,
    {{ care_key('consent', 'consent_id') }} as consent_key,
    {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
    patient_key,
    consent_id,
    is_research_allowed,
    valid_from,
    valid_to,
    valid_to = {{ end_of_time() }} as is_current
from intervals
