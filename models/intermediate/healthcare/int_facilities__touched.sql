-- noqa: disable=LT02
{{ config(materialized='table', post_hook=list_of_keys()) }}
-- What names facilities whose versions may differ from those that the facts were joined to, and from when on.
with new_loads as (
    {{ loads_new_to(facts_of_facilities()) }}
),

versions as (
    {%- for kind in ['organization', 'location'] %}
    select
        '{{ kind }}' as facility_kind,
        {{ kind }}_id as facility_id,
        valid_at,
        load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_fhir__' ~ kind ~ 's') }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

identifiers as (
    {%- for kind in ['organization', 'location'] %}
    select
        '{{ kind }}' as facility_kind,
        {{ kind }}_id as facility_id,
        coalesce(identifier_system, '') || '|' || identifier_value as reference_key,
        valid_at,
        load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_fhir__' ~ kind ~ '_identifiers') }}
    where identifier_value is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

changes as (
    select
        facility_kind,
        facility_id,
        {{ changed_from() }} as changed_from
    from versions
    group by facility_kind, facility_id
    having max(case when is_new then 1 else 0 end) = 1
),

-- An identifier that a facility has for the first time names it in all records, however old.
changes_of_keys as (
    select
        named.facility_kind,
        named.reference_key,
        changes.changed_from
    from changes
    inner join {{ ref('int_facilities__references') }} as named
        on changes.facility_kind = named.facility_kind and changes.facility_id = named.facility_id
    union all
    select
        facility_kind,
        reference_key,
        {{ changed_from() }}
    from identifiers
    group by facility_kind, reference_key, facility_id
    having max(case when is_new then 1 else 0 end) = 1
)

select
    named.facility_kind,
    named.reference_key,
    named.facility_id,
    min(changes_of_keys.changed_from) as changed_from
from changes_of_keys
inner join {{ ref('int_facilities__references') }} as named
    on
        changes_of_keys.facility_kind = named.facility_kind
        and changes_of_keys.reference_key = named.reference_key
group by named.facility_kind, named.reference_key, named.facility_id
