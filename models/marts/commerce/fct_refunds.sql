{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='order_key',
    pre_hook="{{ remember_touched(order_keys_of('int_orders__touched'), 'int_orders__touched') }}",
    indexes=[{'columns': ['refund_key'], 'unique': true}, {'columns': ['order_key']}, {'columns': ['refunded_date']}],
) }}
-- depends_on: {{ ref('int_orders__touched') }}

with refunds as (
    select *
    from {{ latest_versions(
        ref('stg_shop__refunds'), 'refund_id',
        among_children_of_touched(ref('stg_shop__refunds'), 'refund_id', 'order_id')
    ) }} as latest
    {%- if is_incremental() %}
    where latest.order_id in (select touched.order_id from {{ touched_table() }} as touched)
    {%- endif %}
),

orders as (
    select * from {{ latest_versions(ref('stg_shop__orders'), 'order_id', among_touched('order_id')) }} as latest
),

keyed as (
    select
        refunds.*,
        {{ surrogate_key(["'shop'", 'orders.user_id']) }} as customer_key,
        {{ business_date('refunds.refunded_at') }} as refunded_date
    from refunds
    left join orders on refunds.order_id = orders.order_id
    {{ computed_once() }}
)

select
    {{ surrogate_key(["'refund'", 'keyed.refund_id']) }} as refund_key,
    {{ surrogate_key(["'payment'", 'keyed.payment_id']) }} as payment_key,
    {{ order_key('keyed.order_id') }} as order_key,
    {{ surrogate_key(["'source'", "'shop'"]) }} as source_key,
    coalesce(customers.customer_key, {{ unknown_key() }}) as customer_key,
    coalesce(customers.customer_version_key, {{ unknown_key() }}) as customer_version_key,
    coalesce(currencies.currency_key, {{ unknown_key() }}) as currency_key,
    keyed.refund_id,
    keyed.refund_reason,
    keyed.refunded_date,
    keyed.refunded_at,
    cast(keyed.refund_amount as numeric(28, 4)) as refund_amount,
    keyed.currency_code,
    {{ at_rate('keyed.refund_amount', 'rates.rate') }} as refund_reporting_amount,
    cast('{{ var("reporting_currency") }}' as {{ dbt.type_string() }}) as reporting_currency_code
from keyed
left join {{ ref('dim_customers') }} as customers
    on
        keyed.customer_key = customers.customer_key
        and keyed.refunded_at >= customers.valid_from
        and keyed.refunded_at < customers.valid_to
left join {{ ref('dim_currencies') }} as currencies on keyed.currency_code = currencies.currency_code
left join {{ ref('int_exchange_rates__intervals') }} as rates
    on
        keyed.currency_code = rates.currency_code
        and keyed.refunded_date >= rates.valid_from
        and keyed.refunded_date < rates.valid_to
