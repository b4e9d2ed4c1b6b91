-- What was paid back for an order is at most what was captured. A warning: money left that never came, or its payment is
-- still on its way.
{{ config(severity='warn', meta={'quality_dimension': 'accuracy'}) }}

select
    order_key,
    order_id,
    captured_amount,
    refunded_amount
from {{ ref('fct_orders') }}
where refunded_amount > captured_amount + 0.01
