-- noqa: disable=LT02
{%- for source_id in source_ids() %}
select
    '{{ source_id }}' as source_id,
    profiles.resource as resource_name,
    profiles.column_name,
    profiles._load_id as load_id,
    profiles._observed_at as observed_at,
    profiles.row_count,
    profiles.null_count
from {{ source(source_id, 'profiles') }} as profiles
where profiles.{{ from_any_completed_load(source_id) }}
union all
{%- endfor %}
{{ no_rows({
    'source_id': 'text', 'resource_name': 'text', 'column_name': 'text', 'load_id': 'text', 'observed_at': 'timestamp',
    'row_count': 'bigint', 'null_count': 'bigint',
}) }}
