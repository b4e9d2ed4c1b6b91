-- The day's description of a product: what most of its priced lines say, so that a clerk's note doesn't rename it.
with source as (
    select * from {{ source('retail', 'sales_lines') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        trading_date,
        {{ retail_product_code('stock_code') }} as product_code,
        {{ trimmed('description') }} as description,
        _operation = 'D' as is_deleted,
        {{ local_to_utc('trading_date', var('retail_timezone')) }} as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id,
        unit_price,
        file_series || ' ' || {{ retail_invoice_no('invoice_no') }} || ' '
        || cast(line_number as {{ dbt.type_string() }}) as line_id,
        row_number() over (
            partition by trading_date, file_series, {{ retail_invoice_no('invoice_no') }}, line_number
            order by _revision desc, _operation desc
        ) as version_rank
    from source
),

counted as (
    select
        *,
        count(*) over (partition by trading_date, product_code, description) as bearing_count
    from renamed
    where version_rank = 1 and not is_deleted and unit_price > 0 and description is not null
),

ranked as (
    select
        *,
        row_number() over (
            partition by trading_date, product_code
            order by bearing_count desc, {{ binary_order('description') }}, {{ binary_order('line_id') }}
        ) as day_rank
    from counted
),

chosen as (
    select
        product_code,
        trading_date,
        description,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from ranked
    where day_rank = 1
)

select * from chosen
