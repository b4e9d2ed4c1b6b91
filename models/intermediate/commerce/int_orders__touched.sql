{{ config(materialized='table', post_hook=list_of_touched_keys()) }}
-- Orders whose rows in the facts may no longer hold: the order, a line, a payment or a refund has a new version,
-- or the customer or a product has, from a time at or before the order's.
with new_loads as (
    {{ loads_new_to(facts_of_customers()) }}
),

new_items as (
    select order_item_id
    from {{ ref('stg_shop__order_items') }}
    where load_id in (select new_loads.load_id from new_loads)
),

new_payments as (
    select payment_id
    from {{ ref('stg_shop__payments') }}
    where load_id in (select new_loads.load_id from new_loads)
),

new_refunds as (
    select refund_id
    from {{ ref('stg_shop__refunds') }}
    where load_id in (select new_loads.load_id from new_loads)
)

select order_id
from {{ ref('stg_shop__orders') }}
where load_id in (select new_loads.load_id from new_loads)
union
select items.order_id
from {{ ref('stg_shop__order_items') }} as items
where items.order_id is not null and items.order_item_id in (select new_items.order_item_id from new_items)
union
select payments.order_id
from {{ ref('stg_shop__payments') }} as payments
where payments.order_id is not null and payments.payment_id in (select new_payments.payment_id from new_payments)
union
select refunds.order_id
from {{ ref('stg_shop__refunds') }} as refunds
where refunds.order_id is not null and refunds.refund_id in (select new_refunds.refund_id from new_refunds)
union
select orders.order_id
from {{ ref('stg_shop__orders') }} as orders
inner join {{ ref('int_customers__touched') }} as customers on orders.user_id = customers.user_id
where orders.placed_at >= customers.changed_from or orders.updated_at >= customers.changed_from
union
select items.order_id
from {{ ref('stg_shop__order_items') }} as items
inner join {{ ref('int_products__touched') }} as products on items.product_id = products.product_id
where items.created_at >= products.changed_from or items.updated_at >= products.changed_from
{%- if within_backfill('placed_at') %}
union
select order_id
from {{ ref('stg_shop__orders') }}
where {{ within_backfill(business_date('coalesce(placed_at, updated_at)')) }}
union
select order_id
from {{ ref('stg_shop__order_items') }}
where order_id is not null and {{ within_backfill(business_date('coalesce(created_at, updated_at)')) }}
{%- endif %}
