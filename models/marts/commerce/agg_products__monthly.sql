{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='month_start_date',
    meta={'follows': {
        'relation': 'fct_sales',
        'key': 'business_date',
        'ignores': [
            'customer_key', 'customer_version_key', 'product_version_key', 'country_key', 'channel_key', 'sold_at',
        ],
    }},
    indexes=[{'columns': ['month_start_date', 'sales_rank']}, {'columns': ['product_key']}],
    pre_hook="{{ remember_touched(pending_keys('month_start_date', month_start('cast(followed_key as date)'))) }}",
) }}

with sales as (
    select * from {{ ref('fct_sales') }}
    {%- if is_incremental() %}
    where
        business_date >= (select min(touched.month_start_date) from {{ touched_table() }} as touched)
        and {{ month_start('business_date') }} in (select touched.month_start_date from {{ touched_table() }} as touched)
    {%- endif %}
),

goods as (
    select product_key from {{ ref('dim_products') }}
    where is_current and product_type in ('good', 'unknown')
),

days as (
    select
        product_key,
        business_date,
        reporting_currency_code,
        sum(case when line_type = 'sale' then quantity else 0 end) as sold_quantity,
        sum(case when line_type = 'return' then -quantity else 0 end) as returned_quantity,
        sum(case when line_type = 'cancellation' then -quantity else 0 end) as cancelled_quantity,
        sum(net_reporting_amount) as net_sales_amount
    from sales
    where is_net_sales
    group by product_key, business_date, reporting_currency_code
),

months as (
    select
        days.product_key,
        {{ month_start('days.business_date') }} as month_start_date,
        days.reporting_currency_code,
        sum(days.sold_quantity) as sold_quantity,
        sum(days.returned_quantity) as returned_quantity,
        sum(days.cancelled_quantity) as cancelled_quantity,
        coalesce(sum(days.net_sales_amount), 0) as net_sales_amount
    from days
    inner join goods on days.product_key = goods.product_key
    group by days.product_key, {{ month_start('days.business_date') }}, days.reporting_currency_code
)

select
    product_key,
    month_start_date,
    cast(sold_quantity as bigint) as sold_quantity,
    cast(returned_quantity as bigint) as returned_quantity,
    cast(cancelled_quantity as bigint) as cancelled_quantity,
    cast(net_sales_amount as numeric(28, 4)) as net_sales_amount,
    cast({{ safe_divide('returned_quantity', 'sold_quantity') }} as numeric(18, 6)) as return_rate,
    cast(row_number() over (
        partition by month_start_date order by net_sales_amount desc, product_key asc
    ) as bigint) as sales_rank,
    reporting_currency_code
from months
