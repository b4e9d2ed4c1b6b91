{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='visit_id',
    meta={'partition_by_month': 'visited_date'},
    pre_hook="{{ remember_touched(ref('int_visits__touched'), 'int_visits__touched') }}",
    indexes=[
        {'columns': ['visit_key', 'visited_date'], 'unique': true},
        {'columns': ['visit_id']},
        {'columns': ['visited_date'], 'type': 'brin'},
    ],
) }}
-- depends_on: {{ ref('int_visits__touched') }}

with visits as (
    select
        latest.*,
        {{ surrogate_key(["'member'", 'latest.member_id']) }} as member_key,
        {{ business_date('latest.visited_at') }} as visited_date
    from {{ latest_versions(ref('stg_club__visits'), 'visit_id', among_touched('visit_id')) }} as latest
    {{ computed_once() }}
)

select
    {{ surrogate_key(["'visit'", 'visits.visit_id']) }} as visit_key,
    cast(visits.visit_id as bigint) as visit_id,
    {{ surrogate_key(["'source'", "'club'"]) }} as source_key,
    coalesce(members.member_key, {{ unknown_key() }}) as member_key,
    coalesce(members.member_version_key, {{ unknown_key() }}) as member_version_key,
    visits.visited_date,
    visits.visited_at,
    cast(visits.visit_amount as numeric(18, 4)) as visit_amount
from visits
left join {{ ref('dim_members') }} as members
    on
        visits.member_key = members.member_key
        and visits.visited_at >= members.valid_from
        and visits.visited_at < members.valid_to
