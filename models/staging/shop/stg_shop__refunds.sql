with source as (
    select * from {{ source('shop', 'refunds') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as refund_id,
        payment_id,
        order_id,
        amount as refund_amount,
        {{ folded_up('currency_code') }} as currency_code,
        {{ trimmed('reason') }} as refund_reason,
        refunded_at,
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
