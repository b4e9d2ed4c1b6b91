with source as (
    select * from {{ source('shop', 'order_items') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as order_item_id,
        order_id,
        line_number,
        {{ folded('kind') }} as line_kind,
        product_id,
        quantity,
        unit_price_amount,
        discount_amount,
        tax_amount,
        original_item_id,
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
