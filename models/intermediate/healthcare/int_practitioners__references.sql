{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Every number that a practitioner ever had: a record that is older than a new number names the old one.
with named as (
    select
        practitioner_id as reference_key,
        practitioner_id
    from {{ ref('snap_fhir__practitioners') }}
    union all
    select
        {{ npi_system() }} || '|' || national_provider_identifier,
        practitioner_id
    from {{ ref('snap_fhir__practitioners') }}
    where national_provider_identifier is not null
)

select
    reference_key,
    min({{ binary_order('practitioner_id') }}) as practitioner_id
from named
group by reference_key
