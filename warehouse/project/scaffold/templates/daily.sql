{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='[[ names.star.event_date ]]',
    meta={'follows': {'relation': '[[ star.fact ]]', 'key': '[[ names.star.event_date ]]', 'ignores': [
[% for role in star.roles %]
        '[[ role.name ]]_key', '[[ role.name ]]_version_key',
[% endfor %]
    ]}},
    pre_hook="{{ remember_touched(pending_keys('[[ names.star.event_date ]]', 'cast(followed_key as date)')) }}",
    indexes=[{'columns': ['[[ names.star.event_date ]]']}],
) }}

select
    [[ names.star.event_date ]],
    source_key,
    cast(count(*) as bigint) as [[ star.event_name ]]_count[[ ',' if measures else '' ]]
[% for measure in measures %]
    [[ cast('coalesce(sum(' ~ measure.name ~ '), 0)', measure.sum_type) ]] as [[ measure.name ]][[ '' if loop.last else ',' ]]
[% endfor %]
from {{ ref('[[ star.fact ]]') }}
{%- if is_incremental() %}
where [[ names.star.event_date ]] in (select touched.[[ names.star.event_date ]] from {{ touched_table() }} as touched)
{%- endif %}
group by [[ names.star.event_date ]], source_key
