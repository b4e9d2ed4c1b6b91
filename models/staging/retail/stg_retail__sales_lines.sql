with source as (
    select * from {{ source('retail', 'sales_lines') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        trading_date,
        file_series,
        {{ retail_invoice_no('invoice_no') }} as invoice_no,
        line_number,
        stock_code,
        {{ retail_product_code('stock_code') }} as product_code,
        {{ trimmed('description') }} as description,
        quantity,
        {{ local_to_utc('invoice_date', var('retail_timezone')) }} as invoiced_at,
        unit_price as unit_price_amount,
        {{ retail_customer_id('customer_id') }} as customer_id,
        {{ trimmed('country') }} as country_name,
        left({{ retail_invoice_no('invoice_no') }}, 1) = 'C' as is_cancellation,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
