{{ config(materialized='table', post_hook=list_of_keys()) }}
-- What names practitioners whose versions may differ from those that the facts were joined to, and from when on.
with new_loads as (
    {{ loads_new_to(facts_of_practitioners()) }}
),

versions as (
    select
        practitioner_id as reference_key,
        practitioner_id as changed_id,
        valid_at,
        load_id
    from {{ ref('stg_fhir__practitioners') }}
    union all
    select
        {{ named_beside_reference('practitioner_id', 'practitioner_reference', npi_system(), 'practitioner_npi') }},
        practitioner_role_id,
        valid_at,
        load_id
    from {{ ref('stg_fhir__practitioner_roles') }}
    union all
    -- A number that a practitioner has for the first time names them in all records and roles, however old.
    select
        {{ npi_system() }} || '|' || national_provider_identifier,
        practitioner_id || ' ' || national_provider_identifier,
        valid_at,
        load_id
    from {{ ref('stg_fhir__practitioners') }}
    where national_provider_identifier is not null
),

judged as (
    select
        versions.*,
        versions.load_id in (select new_loads.load_id from new_loads) as is_new
    from versions
),

changes as (
    select
        changed_id,
        {{ changed_from() }} as changed_from
    from judged
    group by changed_id
    having max(case when is_new then 1 else 0 end) = 1
),

-- A role that went from one practitioner to another touches both; each by all that names them.
touched as (
    select
        named.practitioner_id,
        min(changes.changed_from) as changed_from
    from versions
    inner join changes on versions.changed_id = changes.changed_id
    inner join {{ ref('int_practitioners__references') }} as named on versions.reference_key = named.reference_key
    group by named.practitioner_id
)

select
    named.reference_key,
    touched.practitioner_id,
    touched.changed_from
from touched
inner join {{ ref('int_practitioners__references') }} as named on touched.practitioner_id = named.practitioner_id
