with source as (
    select * from {{ source('shop', 'addresses') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as address_id,
        {{ folded('user_id') }} as user_id,
        {{ folded('kind') }} as address_kind,
        line_1 as line_1_token,
        line_2 as line_2_token,
        {{ collapsed('city') }} as city,
        {{ collapsed('postal_code') }} as postal_code,
        {{ collapsed('region') }} as region,
        {{ folded_up('country_code') }} as country_code,
        is_default,
        created_at,
        updated_at,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
