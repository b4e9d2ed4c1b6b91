-- Lines as ordered - discount + tax + shipping = the order's total. What is left out: orders of the last day, whose lines
-- may still be on their way, and orders that wait for a rejected line or a rejected version of their own.
-- A warning: the shop's own books don't add up, and a person has to ask there. Whether a line was lost on its way here
-- is what sales__every_line_is_there_once finds out.
{{ config(severity='warn', meta={'quality_dimension': 'accuracy'}) }}

with orders as (
    select * from {{ ref('fct_orders') }}
),

lines as (
    select
        sales_document_key,
        sum(gross_amount) as gross_amount
    from {{ ref('fct_sales') }}
    where line_type in ('sale', 'service')
    group by sales_document_key
),

last_day as (
    select max(placed_date) as placed_date
    from orders
),

waiting as (
    {{ open_rejects('shop', 'order_items', 'order_id') }}
    union
    {{ open_rejects('shop', 'orders', 'id') }}
)

select
    orders.order_key,
    orders.order_id,
    orders.placed_date,
    coalesce(lines.gross_amount, 0) as lines_amount,
    orders.discount_amount,
    orders.tax_amount,
    orders.shipping_amount,
    orders.total_amount
from orders
inner join last_day on orders.placed_date < last_day.placed_date
left join lines on orders.order_key = lines.sales_document_key
where
    abs(
        coalesce(lines.gross_amount, 0) - orders.discount_amount + orders.tax_amount + orders.shipping_amount
        - orders.total_amount
    ) > 0.01
    and not exists (
        select 1 from waiting
        where waiting.value = cast(orders.order_id as {{ dbt.type_string() }})
    )
