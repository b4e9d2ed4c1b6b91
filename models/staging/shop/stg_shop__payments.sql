with source as (
    select * from {{ source('shop', 'payments') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as payment_id,
        order_id,
        {{ folded('method') }} as payment_method_id,
        {{ folded('status') }} as payment_status,
        amount as payment_amount,
        {{ folded_up('currency_code') }} as currency_code,
        paid_at,
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
