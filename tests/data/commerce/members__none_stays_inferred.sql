-- A customer or product that facts name but that no source showed whole fills in within a week, unless its record waits among
-- the rejects. A warning: facts point at somebody whom the source has lost, and only people there know why.
{{ config(severity='warn', meta={'quality_dimension': 'completeness'}) }}

with last_day as (
    select max(business_date) as business_date
    from {{ ref('fct_sales') }}
),

customers as (
    select * from {{ ref('dim_customers') }}
    where is_inferred
),

products as (
    select * from {{ ref('dim_products') }}
    where is_inferred
),

named as (
    select
        'customer' as member_kind,
        customers.customer_id as member_id,
        min(sales.business_date) as named_date
    from customers
    inner join {{ ref('fct_sales') }} as sales on customers.customer_key = sales.customer_key
    group by customers.customer_id
    union all
    select
        'product' as member_kind,
        products.product_id as member_id,
        min(sales.business_date) as named_date
    from products
    inner join {{ ref('fct_sales') }} as sales on products.product_key = sales.product_key
    inner join {{ ref('dim_sources') }} as sources on sales.source_key = sources.source_key
    -- Invoices are the only word there is on retail products.
    where sources.source_id <> 'retail'
    group by products.product_id
),

waiting as (
    select
        'customer' as member_kind,
        rejected.value
    from ({{ open_rejects('shop', 'users', 'id') }}) as rejected
    union
    select
        'product' as member_kind,
        rejected.value
    from ({{ open_rejects('shop', 'products', 'id') }}) as rejected
)

select
    named.member_kind,
    named.member_id,
    named.named_date
from named
inner join last_day on named.named_date < {{ add_days('last_day.business_date', -7) }}
left join waiting on named.member_kind = waiting.member_kind and named.member_id = waiting.value
where waiting.value is null
