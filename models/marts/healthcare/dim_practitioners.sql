{{ config(indexes=[{'columns': ['practitioner_key']}, {'columns': ['practitioner_version_key']}]) }}

with versions as (
    select
        versions.*,
        facilities.facility_id
    from {{ ref('int_practitioners__versions') }} as versions
    left join {{ ref('int_facilities__references') }} as facilities
        on
            versions.organization_reference_key = facilities.reference_key
            and facilities.facility_kind = 'organization'
),

keyed as (
    select
        {{ care_key('practitioner', 'practitioner_id') }} as practitioner_key,
        {{ surrogate_key(["'practitioner'", "'fhir'", 'practitioner_id', 'valid_from']) }} as practitioner_version_key,
        {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
        {{ named_key(facility_key("'organization'", 'facility_id'), 'organization_reference_key') }} as facility_key,
        practitioner_id,
        national_provider_identifier,
        family_name_token,
        given_name_token,
        gender,
        specialty_code,
        specialty_system,
        specialty_display,
        role_count,
        is_inactive,
        valid_from,
        valid_to,
        is_deleted
    from versions
    union all
    select
        {{ unknown_key() }},
        {{ unknown_key() }},
        {{ surrogate_key(["'source'", "'granary'"]) }},
        {{ unknown_key() }},
        'unknown',
        null, null, null, null, null, null, null, 0, false,
        {{ beginning_of_time() }}, {{ end_of_time() }}, false
    union all
    select
        {{ not_applicable_key() }},
        {{ not_applicable_key() }},
        {{ surrogate_key(["'source'", "'granary'"]) }},
        {{ not_applicable_key() }},
        'not applicable',
        null, null, null, null, null, null, null, 0, false,
        {{ beginning_of_time() }}, {{ end_of_time() }}, false
)

select
    practitioner_version_key,
    practitioner_key,
    source_key,
    facility_key,
    cast(practitioner_id as {{ dbt.type_string() }}) as practitioner_id,
    national_provider_identifier,
    family_name_token,
    given_name_token,
    gender,
    specialty_code,
    specialty_system,
    specialty_display,
    cast(role_count as bigint) as role_count,
    is_inactive,
    valid_from,
    valid_to,
    valid_to = {{ end_of_time() }} as is_current,
    is_deleted
from keyed
