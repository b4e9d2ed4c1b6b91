with source as (
    select * from {{ source('shop', 'inventory_movements') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as inventory_movement_id,
        product_id,
        {{ folded('movement_type') }} as movement_type,
        quantity,
        order_id,
        stock_after as stock_after_count,
        moved_at,
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
