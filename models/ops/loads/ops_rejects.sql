-- noqa: disable=LT02
-- A reject is resolved when the source has a later good version of the same record; a line of a file, of its file.
with rejects as (
    {%- for source_id in source_ids() %}
    select
        '{{ source_id }}' as source_id,
        entries.reject_id,
        entries.resource,
        entries.record_key,
        entries.reasons,
        entries._observed_at,
        entries._load_id
    from {{ source(source_id, 'rejects') }} as entries
    where {{ from_completed_load() }}
    union all
    {%- endfor %}
    {{ no_rows({
        'source_id': 'text', 'reject_id': 'text', 'resource': 'text', 'record_key': 'text', 'reasons': 'text',
        '_observed_at': 'timestamp', '_load_id': 'text',
    }) }}
),

mended as (
    {{ mended_rejects(source_ids()) }}
)

select
    cast({{ surrogate_key(['rejects.source_id', 'rejects.reject_id']) }} as uuid) as reject_key,
    rejects.source_id,
    rejects.resource as resource_name,
    rejects.record_key,
    rejects.reasons,
    rejects._observed_at as observed_at,
    rejects._load_id as load_id,
    mended.mended_at is not null as is_resolved,
    mended.mended_at as resolved_at
from rejects
left join mended on rejects.source_id = mended.source_id and rejects.reject_id = mended.reject_id
