{{ config(materialized='table', post_hook=list_of_keys()) }}

-- The visits that new loads brought, and those of members whose versions may differ from what the visits were joined to.
with new_loads as (
    {{ loads_new_to(['fct_visits']) }}
),

member_versions as (
    select
        member_id,
        valid_at,
        load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_club__members') }}
),

changed_members as (
    select
        member_id,
        {{ changed_from() }} as changed_from
    from member_versions
    group by member_id
    having max(case when is_new then 1 else 0 end) = 1
)

select visit_id
from {{ ref('stg_club__visits') }}
where load_id in (select new_loads.load_id from new_loads)
union
select visits.visit_id
from {{ ref('stg_club__visits') }} as visits
inner join changed_members
    on visits.member_id = changed_members.member_id and visits.visited_at >= changed_members.changed_from
{%- if within_backfill('visited_at') %}
union
select visit_id
from {{ ref('stg_club__visits') }}
where {{ within_backfill(business_date('visited_at')) }}
{%- endif %}
