{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='order_key',
    meta={'partition_by_month': 'paid_date'},
    pre_hook="{{ remember_touched(order_keys_of('int_orders__touched'), 'int_orders__touched') }}",
    indexes=[
        {'columns': ['payment_key', 'paid_date'], 'unique': true},
        {'columns': ['order_key']},
        {'columns': ['paid_date'], 'type': 'brin'},
    ],
) }}
-- depends_on: {{ ref('int_orders__touched') }}

with payments as (
    select *
    from {{ latest_versions(
        ref('stg_shop__payments'), 'payment_id',
        among_children_of_touched(ref('stg_shop__payments'), 'payment_id', 'order_id')
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
        payments.*,
        {{ surrogate_key(["'shop'", 'orders.user_id']) }} as customer_key,
        coalesce(payments.paid_at, payments.created_at, payments.updated_at) as event_at,
        {{ business_date('coalesce(payments.paid_at, payments.created_at, payments.updated_at)') }} as event_date
    from payments
    left join orders on payments.order_id = orders.order_id
    {{ computed_once() }}
)

select
    {{ surrogate_key(["'payment'", 'keyed.payment_id']) }} as payment_key,
    {{ order_key('keyed.order_id') }} as order_key,
    {{ surrogate_key(["'source'", "'shop'"]) }} as source_key,
    coalesce(customers.customer_key, {{ unknown_key() }}) as customer_key,
    coalesce(customers.customer_version_key, {{ unknown_key() }}) as customer_version_key,
    {{ surrogate_key(["'payment_method'", 'keyed.payment_method_id']) }} as payment_method_key,
    coalesce(currencies.currency_key, {{ unknown_key() }}) as currency_key,
    keyed.payment_id,
    keyed.payment_status,
    case when keyed.paid_at is not null then keyed.event_date end as paid_date,
    keyed.paid_at,
    cast(keyed.payment_amount as numeric(28, 4)) as payment_amount,
    keyed.currency_code,
    {{ at_rate('keyed.payment_amount', 'rates.rate') }} as payment_reporting_amount,
    cast('{{ var("reporting_currency") }}' as {{ dbt.type_string() }}) as reporting_currency_code
from keyed
left join {{ ref('dim_customers') }} as customers
    on
        keyed.customer_key = customers.customer_key
        and keyed.event_at >= customers.valid_from
        and keyed.event_at < customers.valid_to
left join {{ ref('dim_currencies') }} as currencies on keyed.currency_code = currencies.currency_code
left join {{ ref('int_exchange_rates__intervals') }} as rates
    on
        keyed.currency_code = rates.currency_code
        and keyed.event_date >= rates.valid_from
        and keyed.event_date < rates.valid_to
