{{ config(pre_hook="{{ refuse_older_list('int_members__inferred') }}") }}

with versions as (
    select
        member_id,
        email_token,
        town,
        tier,
        valid_from,
        valid_to,
        is_deleted,
        false as is_inferred
    from {{ ref('snap_club__members') }}
),

members as (
    select * from versions
    union all
    select
        member_id,
        cast(null as {{ dbt.type_string() }}) as email_token,
        cast(null as {{ dbt.type_string() }}) as town,
        cast(null as {{ dbt.type_string() }}) as tier,
        {{ beginning_of_time() }} as valid_from,
        {{ end_of_time() }} as valid_to,
        false as is_deleted,
        true as is_inferred
    from {{ ref('int_members__inferred') }}
),

keyed as (
    select
        {{ surrogate_key(["'member'", 'member_id', 'valid_from']) }} as member_version_key,
        {{ surrogate_key(["'member'", 'member_id']) }} as member_key,
        *
    from members
    union all
    select
        {{ unknown_key() }}, {{ unknown_key() }}, null, null, null, 'unknown', {{ beginning_of_time() }}, {{ end_of_time() }}, false, false
)

select
    member_version_key,
    member_key,
    {{ surrogate_key(["'source'", "'club'"]) }} as source_key,
    cast(member_id as bigint) as member_id,
    email_token,
    town,
    tier,
    valid_from,
    valid_to,
    valid_to = {{ end_of_time() }} as is_current,
    is_deleted,
    is_inferred
from keyed
