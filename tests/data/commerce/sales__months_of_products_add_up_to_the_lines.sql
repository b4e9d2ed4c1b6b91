-- For each month agg_products__monthly holds all net sales of goods.
{{ config(meta={'quality_dimension': 'consistency'}) }}

with months as (
    select
        month_start_date,
        sum(net_sales_amount) as net_sales_amount,
        sum(sold_quantity - returned_quantity - cancelled_quantity) as net_quantity
    from {{ ref('agg_products__monthly') }}
    group by month_start_date
),

days as (
    select
        sales.product_key,
        sales.business_date,
        sum(sales.net_reporting_amount) as net_sales_amount,
        sum(sales.quantity) as net_quantity
    from {{ ref('fct_sales') }} as sales
    where sales.is_net_sales
    group by sales.product_key, sales.business_date
),

lines as (
    select
        {{ month_start('days.business_date') }} as month_start_date,
        coalesce(sum(days.net_sales_amount), 0) as net_sales_amount,
        sum(days.net_quantity) as net_quantity
    from days
    inner join {{ ref('dim_products') }} as products on days.product_key = products.product_key
    where products.is_current and products.product_type in ('good', 'unknown')
    group by {{ month_start('days.business_date') }}
)

select
    coalesce(months.month_start_date, lines.month_start_date) as month_start_date,
    months.net_sales_amount,
    lines.net_sales_amount as true_net_sales_amount,
    months.net_quantity,
    lines.net_quantity as true_net_quantity
from months
full outer join lines on months.month_start_date = lines.month_start_date
where
    months.net_sales_amount is distinct from lines.net_sales_amount
    or months.net_quantity is distinct from lines.net_quantity
