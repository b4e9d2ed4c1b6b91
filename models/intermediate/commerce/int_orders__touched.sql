{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Orders whose rows in the facts may no longer hold: the order, a line, a payment, a refund or the address that it went
-- to has a new version, or the customer or a product has, from a time on at or after which something of it happened.
with new_loads as (
    {{ loads_new_to(facts_of_customers()) }}
),

new_items as (
    select order_item_id
    from {{ ref('stg_shop__order_items') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
),

new_payments as (
    select payment_id
    from {{ ref('stg_shop__payments') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
),

new_refunds as (
    select refund_id
    from {{ ref('stg_shop__refunds') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
),

new_addresses as (
    select address_id
    from {{ ref('stg_shop__addresses') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
),

-- What comes after an order (a line taken back, a payment, a refund) has a time of its own, and need not touch the
-- order's record.
orders_of_customers as (
    select
        orders.order_id,
        orders.placed_at,
        orders.updated_at,
        customers.changed_from
    from {{ ref('stg_shop__orders') }} as orders
    inner join {{ ref('int_customers__touched') }} as customers on orders.user_id = customers.user_id
),

items_of_products as (
    select
        items.order_id,
        items.created_at,
        items.updated_at,
        products.changed_from
    from {{ ref('stg_shop__order_items') }} as items
    inner join {{ ref('int_products__touched') }} as products on items.product_id = products.product_id
)

select order_id
from {{ ref('stg_shop__orders') }}
where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
union
select items.order_id
from {{ ref('stg_shop__order_items') }} as items
where
    items.order_id is not null
    and {{ is_one_of('items.order_item_id', 'select new_items.order_item_id from new_items') }}
union
select payments.order_id
from {{ ref('stg_shop__payments') }} as payments
where
    payments.order_id is not null
    and {{ is_one_of('payments.payment_id', 'select new_payments.payment_id from new_payments') }}
union
select refunds.order_id
from {{ ref('stg_shop__refunds') }} as refunds
where
    refunds.order_id is not null
    and {{ is_one_of('refunds.refund_id', 'select new_refunds.refund_id from new_refunds') }}
union
-- The address may be somebody else's.
select orders.order_id
from {{ ref('stg_shop__orders') }} as orders
where orders.shipping_address_id in (select new_addresses.address_id from new_addresses)
union
select order_id
from orders_of_customers
where placed_at >= changed_from or updated_at >= changed_from
union
select items.order_id
from {{ ref('stg_shop__order_items') }} as items
inner join orders_of_customers as orders on items.order_id = orders.order_id
where
    {{ looked_up('items.order_id', 'select touched.order_id from orders_of_customers as touched') }}
    and (items.created_at >= orders.changed_from or items.updated_at >= orders.changed_from)
union
select payments.order_id
from {{ ref('stg_shop__payments') }} as payments
inner join orders_of_customers as orders on payments.order_id = orders.order_id
where
    {{ looked_up('payments.order_id', 'select touched.order_id from orders_of_customers as touched') }}
    and (
        payments.paid_at >= orders.changed_from
        or payments.created_at >= orders.changed_from
        or payments.updated_at >= orders.changed_from
    )
union
select refunds.order_id
from {{ ref('stg_shop__refunds') }} as refunds
inner join orders_of_customers as orders on refunds.order_id = orders.order_id
where
    {{ looked_up('refunds.order_id', 'select touched.order_id from orders_of_customers as touched') }}
    and refunds.refunded_at >= orders.changed_from
union
select order_id
from items_of_products
where order_id is not null and (created_at >= changed_from or updated_at >= changed_from)
union
-- A basket may be filled long before the order is placed, and is sold then.
select items.order_id
from items_of_products as items
inner join {{ ref('stg_shop__orders') }} as orders on items.order_id = orders.order_id
where
    {{ looked_up('orders.order_id', 'select touched.order_id from items_of_products as touched') }}
    and orders.placed_at >= items.changed_from
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
