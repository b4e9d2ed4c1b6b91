-- noqa: disable=LT02
{%- for source_id in source_ids() %}
select
    '{{ source_id }}' as source_id,
    loads.resource as resource_name,
    loads._load_id as load_id,
    loads._observed_at as observed_at,
    loads.source_count,
    loads.loaded_count,
    loads.known_count,
    loads.rejected_count,
    coalesce(loads.deleted_count, 0) as deleted_count
from {{ source(source_id, 'loads') }} as loads
where loads.{{ from_completed_load() }}
union all
{%- endfor %}
{{ no_rows({
    'source_id': 'text', 'resource_name': 'text', 'load_id': 'text', 'observed_at': 'timestamp',
    'source_count': 'bigint', 'loaded_count': 'bigint', 'known_count': 'bigint', 'rejected_count': 'bigint',
    'deleted_count': 'bigint',
}) }}
