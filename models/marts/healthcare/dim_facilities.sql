-- noqa: disable=LT02
{{ config(indexes=[{'columns': ['facility_key']}, {'columns': ['facility_version_key']}]) }}
{%- set shared = ['type_code', 'type_system', 'type_display', 'city', 'state', 'postal_code', 'country'] %}

with versions as (
    select
        'organization' as facility_kind,
        organization_id as facility_id,
        organization_name as facility_name,
        {{ shared | join(', ') }},
        {{ named_by_reference('part_of_id', 'part_of_reference') }} as parent_reference_key,
        coalesce(is_inactive, false) as is_inactive,
        valid_from,
        valid_to,
        is_deleted
    from {{ ref('snap_fhir__organizations') }}
    union all
    select
        'location',
        location_id,
        location_name,
        {{ shared | join(', ') }},
        {{ named_beside_reference('managing_organization_id', 'managing_organization_reference',
            'managing_organization_identifier_system', 'managing_organization_identifier') }},
        coalesce(status = 'inactive', false),
        valid_from,
        valid_to,
        is_deleted
    from {{ ref('snap_fhir__locations') }}
),

-- What else a snapshot follows of a facility is no new version here.
named as (
    select
        *,
        {{ facility_key('facility_kind', 'facility_id') }} as facility_key
    from versions
),

merged as (
    {{ merged_neighbours('named', 'facility_key', ['facility_kind', 'facility_id', 'facility_name'] + shared
        + ['parent_reference_key', 'is_inactive', 'is_deleted']) }}
),

keyed as (
    select
        {{ surrogate_key(['merged.facility_key', 'merged.valid_from']) }} as facility_version_key,
        {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
        merged.facility_key,
        {{ named_key(facility_key("'organization'", 'parents.facility_id'), 'merged.parent_reference_key') }}
            as parent_facility_key,
        merged.facility_kind,
        merged.facility_id,
        merged.facility_name,
        {%- for column in shared %}
        merged.{{ column }},
        {%- endfor %}
        merged.is_inactive,
        merged.valid_from,
        merged.valid_to,
        merged.is_deleted
    from merged
    left join {{ ref('int_facilities__references') }} as parents
        on merged.parent_reference_key = parents.reference_key and parents.facility_kind = 'organization'
    {%- for kind, key in {'unknown': unknown_key(), 'not applicable': not_applicable_key()}.items() %}
    union all
    select
        {{ key }}, {{ surrogate_key(["'source'", "'granary'"]) }}, {{ key }}, {{ key }}, '{{ kind }}', '{{ kind }}',
        '{{ kind }}', null, null, null, null, null, null, null,
        false, {{ beginning_of_time() }}, {{ end_of_time() }}, false
    {%- endfor %}
)

select
    facility_version_key,
    facility_key,
    source_key,
    parent_facility_key,
    cast(facility_kind as {{ dbt.type_string() }}) as facility_kind,
    cast(facility_id as {{ dbt.type_string() }}) as facility_id,
    facility_name,
    type_code,
    type_system,
    type_display,
    city,
    state,
    postal_code,
    country,
    is_inactive,
    valid_from,
    valid_to,
    valid_to = {{ end_of_time() }} as is_current,
    is_deleted
from keyed
