{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='product_key',
    meta={'touched_from': 'business_date', 'partition_by_month': 'business_date'},
    pre_hook="{{ remember_touched(inventory_days_touched(ref('int_inventory__touched'), ref('fct_inventory_movements'), this), 'int_inventory__touched') }}",
    indexes=[
        {'columns': ['product_key', 'business_date'], 'unique': true},
        {'columns': ['business_date'], 'type': 'brin'},
    ],
) }}
-- noqa: disable=LT02
-- depends_on: {{ ref('int_inventory__touched') }}

with movements as (
    select * from {{ ref('fct_inventory_movements') }}
),

-- "Today" is the last day on which anything moved.
as_of as materialized (
    select max(business_date) as business_date
    from movements
),

{% if is_incremental() -%}
spans as (
    select
        touched.product_key,
        touched.business_date as first_date,
        coalesce(before.closing_quantity, 0) as opening_quantity
    from {{ touched_table() }} as touched
    left join {{ this }} as before
        on touched.product_key = before.product_key and touched.business_date - 1 = before.business_date
),

moved as (
    select movements.*
    from movements
    inner join spans on movements.product_key = spans.product_key and movements.business_date >= spans.first_date
),
{%- else -%}
spans as (
    select
        product_key,
        min(business_date) as first_date,
        0 as opening_quantity
    from movements
    group by product_key
),

moved as (
    select * from movements
),
{%- endif %}

by_day as (
    select
        product_key,
        business_date,
        sum(case when movement_type = 'receipt' then quantity else 0 end) as received_quantity,
        sum(case when movement_type = 'sale' then -quantity else 0 end) as sold_quantity,
        sum(case when movement_type = 'return' then quantity else 0 end) as returned_quantity,
        sum(case when movement_type in ('adjustment', 'write_off') then quantity else 0 end) as adjusted_quantity,
        sum(quantity) as net_quantity,
        count(*) as movement_count
    from moved
    group by product_key, business_date
),

first_movements as (
    select
        product_key,
        min(business_date) as first_date
    from movements
    group by product_key
),

daily as (
    select
        spans.product_key,
        dates.date_day as business_date,
        spans.opening_quantity,
        by_day.received_quantity,
        by_day.sold_quantity,
        by_day.returned_quantity,
        by_day.adjusted_quantity,
        by_day.movement_count,
        spans.opening_quantity + sum(coalesce(by_day.net_quantity, 0)) over (
            partition by spans.product_key order by dates.date_day
        ) as closing_quantity
    from spans
    inner join first_movements on spans.product_key = first_movements.product_key
    cross join as_of
    cross join lateral (
        {{ date_series('greatest(spans.first_date, first_movements.first_date)', 'as_of.business_date') }}
    ) as dates
    left join by_day on spans.product_key = by_day.product_key and dates.date_day = by_day.business_date
)

select
    daily.product_key,
    coalesce(products.product_version_key, {{ unknown_key() }}) as product_version_key,
    daily.business_date,
    cast(coalesce(daily.received_quantity, 0) as bigint) as received_quantity,
    cast(coalesce(daily.sold_quantity, 0) as bigint) as sold_quantity,
    cast(coalesce(daily.returned_quantity, 0) as bigint) as returned_quantity,
    cast(coalesce(daily.adjusted_quantity, 0) as bigint) as adjusted_quantity,
    cast(coalesce(daily.movement_count, 0) as bigint) as movement_count,
    cast(daily.closing_quantity as bigint) as closing_quantity,
    daily.closing_quantity <= 0 as is_stocked_out
from daily
left join {{ ref('dim_products') }} as products
    on
        daily.product_key = products.product_key
        and {{ business_day_end('daily.business_date') }} > products.valid_from
        and {{ business_day_end('daily.business_date') }} <= products.valid_to
