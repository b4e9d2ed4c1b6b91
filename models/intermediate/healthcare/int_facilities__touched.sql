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

changes as (
    select
        facility_kind,
        facility_id,
        {{ changed_from() }} as changed_from
    from versions
    group by facility_kind, facility_id
    having max(case when is_new then 1 else 0 end) = 1
)

select
    named.facility_kind,
    named.reference_key,
    named.facility_id,
    changes.changed_from
from changes
inner join {{ ref('int_facilities__references') }} as named
    on changes.facility_kind = named.facility_kind and changes.facility_id = named.facility_id
