with source as (
    select * from {{ source('shop', 'orders') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as order_id,
        {{ folded('user_id') }} as user_id,
        {{ folded('status') }} as order_status,
        {{ folded('channel') }} as channel_id,
        {{ folded_up('currency_code') }} as currency_code,
        shipping_address_id,
        subtotal_amount,
        discount_amount,
        tax_amount,
        shipping_amount,
        total_amount,
        placed_at,
        paid_at,
        shipped_at,
        delivered_at,
        cancelled_at,
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
