-- noqa: disable=LT02
-- depends_on: {{ ref('ops_loads') }}
-- For every resource and load: what the source counted = loaded + known + rejected, and the loaded and rejected records
-- really lie in raw and in rejects, or in the archive of what raw no longer keeps.
{{ config(meta={'quality_dimension': 'completeness'}) }}

with lying as (
    {%- for source_id in (source_ids() if execute else []) %}
    {%- for node in graph.sources.values() if node.source_name == source_id and node.config.meta.key %}
    select
        '{{ source_id }}' as source_id,
        '{{ node.name }}' as resource_name,
        _load_id as load_id,
        count(*) as row_count,
        0 as reject_count
    from {{ source(source_id, node.name) }}
    group by _load_id
    union all
    {%- endfor %}
    select
        '{{ source_id }}' as source_id,
        resource as resource_name,
        _load_id as load_id,
        0 as row_count,
        count(*) as reject_count
    from {{ source(source_id, 'rejects') }}
    group by resource, _load_id
    union all
    {%- endfor %}
    {%- if execute %}
    select
        source_name as source_id,
        resource_name,
        load_id,
        archived_count as row_count,
        0 as reject_count
    from {{ granary_table('archived') }}
    {%- else %}
    select null as source_id, null as resource_name, null as load_id, 0 as row_count, 0 as reject_count
    {%- endif %}
),

counted as (
    select
        source_id,
        resource_name,
        load_id,
        sum(row_count) as row_count,
        sum(reject_count) as reject_count
    from lying
    group by source_id, resource_name, load_id
)

select
    loads.source_id,
    loads.resource_name,
    loads.load_id,
    loads.source_count,
    loads.loaded_count,
    loads.known_count,
    loads.rejected_count,
    loads.deleted_count,
    counted.row_count,
    counted.reject_count
from {{ ref('ops_loads') }} as loads
left join counted
    on
        loads.source_id = counted.source_id
        and loads.resource_name = counted.resource_name
        and loads.load_id = counted.load_id
where
    loads.source_count <> loads.loaded_count + loads.known_count + loads.rejected_count
    or loads.loaded_count + loads.deleted_count <> coalesce(counted.row_count, 0)
    or loads.rejected_count <> coalesce(counted.reject_count, 0)
