-- noqa: disable=LT02
{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Every identifier that a facility ever had: a record that is older than a new one names the old one.
with named as (
    {%- for kind in ['organization', 'location'] %}
    select
        '{{ kind }}' as facility_kind,
        {{ kind }}_id as reference_key,
        {{ kind }}_id as facility_id
    from {{ ref('snap_fhir__' ~ kind ~ 's') }}
    union all
    select
        '{{ kind }}',
        coalesce(identifier_system, '') || '|' || identifier_value,
        {{ kind }}_id
    from {{ ref('stg_fhir__' ~ kind ~ '_identifiers') }}
    where identifier_value is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    facility_kind,
    reference_key,
    min({{ binary_order('facility_id') }}) as facility_id
from named
group by facility_kind, reference_key
