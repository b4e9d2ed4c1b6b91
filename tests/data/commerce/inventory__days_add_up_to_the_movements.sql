-- For each product: the last day's closing stock = the sum of the days' flows = the sum of the movements.
{{ config(meta={'quality_dimension': 'consistency'}) }}

with daily as (
    select
        *,
        max(business_date) over () as last_date
    from {{ ref('fct_inventory_daily') }}
),

days as (
    select
        product_key,
        sum(received_quantity - sold_quantity + returned_quantity + adjusted_quantity) as flow_quantity,
        sum(movement_count) as movement_count,
        sum(case when business_date = last_date then closing_quantity end) as closing_quantity
    from daily
    group by product_key
),

movements as (
    select
        product_key,
        sum(quantity) as moved_quantity,
        count(*) as movement_count
    from {{ ref('fct_inventory_movements') }}
    group by product_key
)

select
    coalesce(days.product_key, movements.product_key) as product_key,
    days.closing_quantity,
    days.flow_quantity,
    movements.moved_quantity,
    days.movement_count as counted_movement_count,
    movements.movement_count
from days
full outer join movements on days.product_key = movements.product_key
where
    days.closing_quantity is distinct from movements.moved_quantity
    or days.flow_quantity is distinct from movements.moved_quantity
    or days.movement_count is distinct from movements.movement_count
