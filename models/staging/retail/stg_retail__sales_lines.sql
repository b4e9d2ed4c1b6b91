with source as (
    select * from {{ source('retail', 'sales_lines') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        trading_date,
        invoice_no,
        line_number,
        stock_code,
        {{ retail_product_code('stock_code') }} as product_code,
        nullif(trim(description), '') as description,
        quantity,
        {{ local_to_utc('invoice_date', var('retail_timezone')) }} as invoiced_at,
        unit_price as unit_price_amount,
        {{ retail_customer_id('customer_id') }} as customer_id,
        nullif(trim(country), '') as country_name,
        lower(left(trim(invoice_no), 1)) = 'c' as is_cancellation,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
