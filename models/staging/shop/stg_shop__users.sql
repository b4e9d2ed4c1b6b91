with source as (
    select * from {{ source('shop', 'users') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as user_id,
        lower({{ collapsed('email') }}) as email,
        {{ collapsed('first_name') }} as first_name,
        {{ collapsed('last_name') }} as last_name,
        lower(trim(status)) as status,
        created_at,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
