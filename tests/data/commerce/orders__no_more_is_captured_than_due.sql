-- What was captured for an order is at most its total. A warning: somebody was charged twice, or the order was changed.
{{ config(severity='warn', meta={'quality_dimension': 'accuracy'}) }}

select
    order_key,
    order_id,
    total_amount,
    captured_amount
from {{ ref('fct_orders') }}
where captured_amount > total_amount + 0.01
