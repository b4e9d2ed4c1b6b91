{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='visited_date',
    meta={'follows': {
        'relation': 'fct_visits',
        'key': 'visited_date',
        'ignores': ['member_key', 'member_version_key', 'visited_at'],
    }},
    pre_hook="{{ remember_touched(pending_keys('visited_date', 'cast(followed_key as date)')) }}",
    indexes=[{'columns': ['visited_date']}],
) }}

select
    visited_date,
    source_key,
    cast(count(*) as bigint) as visit_count,
    cast(sum(visit_amount) as numeric(18, 4)) as visits_amount
from {{ ref('fct_visits') }}
{%- if is_incremental() %}
where visited_date in (select touched.visited_date from {{ touched_table() }} as touched)
{%- endif %}
group by visited_date, source_key
