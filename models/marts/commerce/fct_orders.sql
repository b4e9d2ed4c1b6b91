{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='order_key',
    meta={'partition_by_month': 'placed_date'},
    pre_hook="{{ remember_touched(order_keys_of('int_orders__touched'), 'int_orders__touched') }}",
    indexes=[{'columns': ['order_key', 'placed_date'], 'unique': true}, {'columns': ['placed_date'], 'type': 'brin'}],
) }}
-- depends_on: {{ ref('int_orders__touched') }}

with orders as (
    select * from {{ latest_versions(ref('stg_shop__orders'), 'order_id', among_touched('order_id')) }} as latest
),

items as (
    select
        order_id,
        count(*) as line_count,
        sum(case when line_kind in ('sale', 'service') then quantity else 0 end) as ordered_quantity,
        sum(case when line_kind in ('sale', 'service') then 0 else -quantity end) as taken_back_quantity
    from {{ latest_versions(
        ref('stg_shop__order_items'), 'order_item_id',
        among_children_of_touched(ref('stg_shop__order_items'), 'order_item_id', 'order_id')
    ) }} as latest
    group by order_id
),

-- Payments and refunds come to the order's grain before any join, so that none is counted twice.
payments as (
    select
        order_id,
        count(*) as payment_count,
        sum(payment_amount) as captured_amount
    from {{ latest_versions(
        ref('stg_shop__payments'), 'payment_id',
        among_children_of_touched(ref('stg_shop__payments'), 'payment_id', 'order_id')
    ) }} as latest
    where payment_status = 'captured'
    group by order_id
),

refunds as (
    select
        order_id,
        sum(refund_amount) as refunded_amount
    from {{ latest_versions(
        ref('stg_shop__refunds'), 'refund_id',
        among_children_of_touched(ref('stg_shop__refunds'), 'refund_id', 'order_id')
    ) }} as latest
    group by order_id
),

keyed as (
    select
        orders.*,
        {{ surrogate_key(["'shop'", 'orders.user_id']) }} as customer_key,
        {{ business_date('orders.placed_at') }} as placed_date
    from orders
    {{ computed_once() }}
)

select
    {{ order_key('keyed.order_id') }} as order_key,
    {{ surrogate_key(["'source'", "'shop'"]) }} as source_key,
    {{ surrogate_key(["'channel'", 'keyed.channel_id']) }} as channel_key,
    coalesce(customers.customer_key, {{ unknown_key() }}) as customer_key,
    coalesce(customers.customer_version_key, {{ unknown_key() }}) as customer_version_key,
    coalesce(currencies.currency_key, {{ unknown_key() }}) as currency_key,
    keyed.order_id,
    keyed.order_status,
    keyed.placed_date,
    keyed.placed_at,
    keyed.paid_at,
    keyed.shipped_at,
    keyed.delivered_at,
    keyed.cancelled_at,
    {{ seconds_between('keyed.placed_at', 'keyed.paid_at') }} as placed_to_paid_seconds,
    {{ seconds_between('keyed.paid_at', 'keyed.shipped_at') }} as paid_to_shipped_seconds,
    {{ seconds_between('keyed.shipped_at', 'keyed.delivered_at') }} as shipped_to_delivered_seconds,
    {{ seconds_between('keyed.placed_at', 'keyed.delivered_at') }} as placed_to_delivered_seconds,
    cast(coalesce(items.line_count, 0) as bigint) as line_count,
    cast(coalesce(items.ordered_quantity, 0) as bigint) as ordered_quantity,
    cast(coalesce(items.taken_back_quantity, 0) as bigint) as taken_back_quantity,
    cast(coalesce(payments.payment_count, 0) as bigint) as payment_count,
    keyed.currency_code,
    cast(keyed.subtotal_amount as numeric(28, 4)) as subtotal_amount,
    cast(keyed.discount_amount as numeric(28, 4)) as discount_amount,
    cast(keyed.tax_amount as numeric(28, 4)) as tax_amount,
    cast(keyed.shipping_amount as numeric(28, 4)) as shipping_amount,
    cast(keyed.total_amount as numeric(28, 4)) as total_amount,
    cast(coalesce(payments.captured_amount, 0) as numeric(28, 4)) as captured_amount,
    cast(coalesce(refunds.refunded_amount, 0) as numeric(28, 4)) as refunded_amount,
    {{ at_rate('keyed.total_amount', 'rates.rate') }} as total_reporting_amount,
    cast('{{ var("reporting_currency") }}' as {{ dbt.type_string() }}) as reporting_currency_code
from keyed
left join items on keyed.order_id = items.order_id
left join payments on keyed.order_id = payments.order_id
left join refunds on keyed.order_id = refunds.order_id
left join {{ ref('dim_customers') }} as customers
    on
        keyed.customer_key = customers.customer_key
        and keyed.placed_at >= customers.valid_from
        and keyed.placed_at < customers.valid_to
left join {{ ref('dim_currencies') }} as currencies on keyed.currency_code = currencies.currency_code
left join {{ ref('int_exchange_rates__intervals') }} as rates
    on
        keyed.currency_code = rates.currency_code
        and keyed.placed_date >= rates.valid_from
        and keyed.placed_date < rates.valid_to
