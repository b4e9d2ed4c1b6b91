with source as (
    select * from {{ source('shop', 'users') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        {{ folded('id') }} as user_id,
        email as email_token,
        first_name as first_name_token,
        last_name as last_name_token,
        {{ folded('status') }} as status,
        created_at,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
