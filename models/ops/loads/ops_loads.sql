{{ config(materialized='incremental', incremental_strategy='append') }}
-- noqa: disable=LT02
-- What a load did doesn't change any more: those that are new are added.
{%- for source_id in source_ids() %}
select
    '{{ source_id }}' as source_id,
    cast(loads.resource as {{ dbt.type_string() }}) as resource_name,
    cast(loads._load_id as {{ dbt.type_string() }}) as load_id,
    loads._observed_at as observed_at,
    loads.source_count,
    loads.loaded_count,
    loads.known_count,
    loads.rejected_count,
    coalesce(loads.deleted_count, 0) as deleted_count
from {{ source(source_id, 'loads') }} as loads
where
    loads.{{ from_completed_load() }}
    {%- if is_incremental() %}
    and loads._load_id in ({{ new_loads('ops_loads') }})
    {%- endif %}
union all
{%- endfor %}
{{ no_rows({
    'source_id': 'text', 'resource_name': 'text', 'load_id': 'text', 'observed_at': 'timestamp',
    'source_count': 'bigint', 'loaded_count': 'bigint', 'known_count': 'bigint', 'rejected_count': 'bigint',
    'deleted_count': 'bigint',
}) }}
