{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Products whose rows in the inventory facts may no longer hold, and from which day on.
with new_loads as (
    {{ loads_new_to(['fct_inventory_movements', 'fct_inventory_daily']) }}
),

new_movements as (
    select inventory_movement_id
    from {{ ref('stg_shop__inventory_movements') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
),

-- Every version counts: a movement may have been of another product or another day before.
all_changes as (
    select
        movements.product_id,
        {{ business_date('movements.moved_at') }} as business_date
    from {{ ref('stg_shop__inventory_movements') }} as movements
    where
        {{ is_one_of('movements.inventory_movement_id', 'select new.inventory_movement_id from new_movements as new') }}
    union all
    select
        product_id,
        {{ add_days(business_date('changed_from'), -1) }} as business_date
    from {{ ref('int_products__touched') }}
    {%- if within_backfill('moved_at') %}
    union all
    select
        product_id,
        {{ business_date('moved_at') }} as business_date
    from {{ ref('stg_shop__inventory_movements') }}
    where {{ within_backfill(business_date('moved_at')) }}
    {%- endif %}
)

select
    product_id,
    {{ surrogate_key(["'product'", "'shop'", 'product_id']) }} as product_key,
    min(business_date) as business_date
from all_changes
where product_id is not null and business_date is not null
group by product_id
