with source as (
    select * from {{ source('shop', 'products') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as product_id,
        sku,
        {{ collapsed('name') }} as product_name,
        category_id,
        price_amount as list_price_amount,
        {{ folded_up('currency_code') }} as currency_code,
        is_active,
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
