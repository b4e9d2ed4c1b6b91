-- Every order, payment, refund and movement that the shop holds now is in its fact, and the amounts are the shop's.
{{ config(meta={'quality_dimension': 'completeness'}) }}

with held as (
    select
        'fct_orders' as fact_name,
        count(*) as row_count,
        sum(total_amount) as total
    from {{ latest_versions(ref('stg_shop__orders'), 'order_id') }} as latest
    union all
    select
        'fct_payments' as fact_name,
        count(*) as row_count,
        sum(payment_amount) as total
    from {{ latest_versions(ref('stg_shop__payments'), 'payment_id') }} as latest
    union all
    select
        'fct_refunds' as fact_name,
        count(*) as row_count,
        sum(refund_amount) as total
    from {{ latest_versions(ref('stg_shop__refunds'), 'refund_id') }} as latest
    union all
    select
        'fct_inventory_movements' as fact_name,
        count(*) as row_count,
        sum(quantity) as total
    from {{ latest_versions(ref('stg_shop__inventory_movements'), 'inventory_movement_id') }} as latest
),

published as (
    select
        'fct_orders' as fact_name,
        count(*) as row_count,
        sum(total_amount) as total
    from {{ ref('fct_orders') }}
    union all
    select
        'fct_payments' as fact_name,
        count(*) as row_count,
        sum(payment_amount) as total
    from {{ ref('fct_payments') }}
    union all
    select
        'fct_refunds' as fact_name,
        count(*) as row_count,
        sum(refund_amount) as total
    from {{ ref('fct_refunds') }}
    union all
    select
        'fct_inventory_movements' as fact_name,
        count(*) as row_count,
        sum(quantity) as total
    from {{ ref('fct_inventory_movements') }}
)

select
    held.fact_name,
    held.row_count as held_row_count,
    published.row_count,
    held.total as held_total,
    published.total
from held
inner join published on held.fact_name = published.fact_name
where
    held.row_count <> published.row_count
    or held.total is distinct from published.total
