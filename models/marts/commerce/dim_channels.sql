with channels as (
    select * from {{ ref('channels') }}
),

members as (
    select
        {{ surrogate_key(["'channel'", 'channel_id']) }} as channel_key,
        channel_id,
        channel_name,
        is_online
    from channels
    union all
    select
        {{ unknown_key() }} as channel_key,
        'unknown' as channel_id,
        'Unknown' as channel_name,
        false as is_online
    union all
    select
        {{ not_applicable_key() }} as channel_key,
        'not_applicable' as channel_id,
        'Not applicable' as channel_name,
        false as is_online
)

select
    channel_key,
    cast(channel_id as {{ dbt.type_string() }}) as channel_id,
    cast(channel_name as {{ dbt.type_string() }}) as channel_name,
    cast(is_online as boolean) as is_online
from members
