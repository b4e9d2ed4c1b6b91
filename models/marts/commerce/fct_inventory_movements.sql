{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='product_key',
    meta={'touched_from': 'business_date', 'partition_by_month': 'business_date'},
    pre_hook="{{ remember_touched(ref('int_inventory__touched'), 'int_inventory__touched') }}",
    indexes=[
        {'columns': ['inventory_movement_key', 'business_date'], 'unique': true},
        {'columns': ['product_key', 'business_date']},
    ],
) }}
-- noqa: disable=LT02
-- depends_on: {{ ref('int_inventory__touched') }}

with movements as (
    select * from {{ latest_versions(
        ref('stg_shop__inventory_movements'), 'inventory_movement_id',
        movements_since_touched(ref('stg_shop__inventory_movements'))
    ) }} as latest
),

keyed as (
    select
        *,
        {{ surrogate_key(["'product'", "'shop'", 'product_id']) }} as product_key,
        {{ business_date('moved_at') }} as business_date
    from movements
)

select
    {{ surrogate_key(["'inventory_movement'", 'keyed.inventory_movement_id']) }} as inventory_movement_key,
    keyed.product_key,
    coalesce(products.product_version_key, {{ unknown_key() }}) as product_version_key,
    {{ order_key('keyed.order_id') }} as order_key,
    {{ surrogate_key(["'source'", "'shop'"]) }} as source_key,
    keyed.business_date,
    keyed.moved_at,
    keyed.inventory_movement_id,
    keyed.movement_type,
    keyed.quantity,
    keyed.stock_after_count
from keyed
{%- if is_incremental() %}
inner join {{ touched_table() }} as touched
    on keyed.product_key = touched.product_key and keyed.business_date >= touched.business_date
{%- endif %}
left join {{ ref('dim_products') }} as products
    on
        keyed.product_key = products.product_key
        and keyed.moved_at >= products.valid_from
        and keyed.moved_at < products.valid_to
