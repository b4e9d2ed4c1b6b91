-- noqa: disable=LT02
with loads as (
    {%- for source_id in source_ids() %}
    select
        '{{ source_id }}' as source_id,
        counts.resource as resource_name,
        counts._load_id as load_id,
        counts._observed_at as observed_at,
        counts.source_count,
        counts.loaded_count,
        counts.known_count,
        counts.rejected_count,
        coalesce(counts.deleted_count, 0) as deleted_count,
        profiles.newest_at
    from {{ source(source_id, 'loads') }} as counts
    left join {{ source(source_id, 'profiles') }} as profiles
        on
            counts.resource = profiles.resource
            and counts._load_id = profiles._load_id
            and profiles.column_name = '_effective_at'
    where counts.{{ from_any_completed_load(source_id) }}
    union all
    {%- endfor %}
    {{ no_rows({
        'source_id': 'text', 'resource_name': 'text', 'load_id': 'text', 'observed_at': 'timestamp',
        'source_count': 'bigint', 'loaded_count': 'bigint', 'known_count': 'bigint', 'rejected_count': 'bigint',
        'deleted_count': 'bigint', 'newest_at': 'timestamp',
    }) }}
),

aged as (
    select
        *,
        max(newest_at) over (
            partition by source_id, resource_name
            order by observed_at, load_id
        ) as newest_record_at
    from loads
)

select
    source_id,
    resource_name,
    load_id,
    observed_at,
    source_count,
    loaded_count,
    known_count,
    rejected_count,
    deleted_count,
    newest_record_at,
    {{ seconds_between('newest_record_at', 'observed_at') }} as age_seconds
from aged
