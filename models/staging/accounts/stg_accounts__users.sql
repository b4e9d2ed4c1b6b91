with source as (
    select * from {{ source('accounts', 'users') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as account_id,
        email as email_token,
        first_name as first_name_token,
        last_name as last_name_token,
        {{ folded('status') }} as source_status,
        {{ json_text('profile', ['_token']) }} as profile_token,
        {{ json_text('profile', ['preferences', 'newsletter']) }} as newsletter,
        {{ json_text('profile', ['preferences', 'language']) }} as preferred_language,
        {{ json_text('profile', ['preferences', 'theme']) }} as preferred_theme,
        created_at,
        updated_at,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
),

cleansed as (
    select
        account_id,
        email_token,
        first_name_token,
        last_name_token,
        case
            when source_status in ('active', 'enabled') then 'active'
            when source_status in ('inactive', 'disabled') then 'inactive'
            when source_status in ('suspended', 'blocked') then 'suspended'
        end as account_status,
        profile_token,
        coalesce({{ folded('newsletter') }} = 'true', false) as prefers_newsletter,
        coalesce(preferred_language, 'en') as preferred_language,
        coalesce(preferred_theme, 'light') as preferred_theme,
        created_at,
        updated_at,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from renamed
)

select * from cleansed
