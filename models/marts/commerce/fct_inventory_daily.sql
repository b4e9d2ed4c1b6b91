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
first_movements as (
    select
        product_key,
        min(business_date) as business_date
    from movements
    group by product_key
),
{%- endif %}

-- Beside what moved, what was there before the first day of a product that is computed again.
changes as (
{%- if is_incremental() %}
    select
        movements.product_key,
        movements.business_date,
        movements.movement_type,
        movements.quantity
    from movements
    inner join {{ touched_table() }} as touched
        on movements.product_key = touched.product_key and movements.business_date >= touched.business_date
    union all
    select
        touched.product_key,
        greatest(touched.business_date, first_movements.business_date) as business_date,
        'opening' as movement_type,
        coalesce(before.closing_quantity, 0) as quantity
    from {{ touched_table() }} as touched
    inner join first_movements on touched.product_key = first_movements.product_key
    left join {{ this }} as before
        on touched.product_key = before.product_key and touched.business_date - 1 = before.business_date
{%- else %}
    select
        product_key,
        business_date,
        movement_type,
        quantity
    from movements
{%- endif %}
),

by_day as (
    select
        product_key,
        business_date,
        sum(case when movement_type = 'receipt' then quantity else 0 end) as received_quantity,
        sum(case when movement_type = 'sale' then -quantity else 0 end) as sold_quantity,
        sum(case when movement_type = 'return' then quantity else 0 end) as returned_quantity,
        sum(case when movement_type in ('adjustment', 'write_off') then quantity else 0 end) as adjusted_quantity,
        sum(quantity) as net_quantity,
        sum(case when movement_type = 'opening' then 0 else 1 end) as movement_count
    from changes
    group by product_key, business_date
),

-- A stock holds until the next change: it is added up here, where there is a row for each change and not for each day.
stocks as (
    select
        by_day.*,
        sum(by_day.net_quantity) over of_product as closing_quantity,
        coalesce(lead(by_day.business_date) over of_product - 1, as_of.business_date) as last_date
    from by_day
    cross join as_of
    window of_product as (partition by by_day.product_key order by by_day.business_date)
),

first_days as (
    select min(business_date) as business_date
    from by_day
),

-- The end of a day is a question of time zones, which is asked once for each day.
days as (
    select
        dates.date_day,
        {{ business_day_end('dates.date_day') }} as ended_at
    from first_days
    cross join as_of
    cross join lateral ({{ date_series('first_days.business_date', 'as_of.business_date') }}) as dates
    {{ computed_once() }}
),

daily as (
    select
        stocks.product_key,
        days.date_day as business_date,
        days.ended_at,
        case when stocks.business_date = days.date_day then stocks.received_quantity else 0 end as received_quantity,
        case when stocks.business_date = days.date_day then stocks.sold_quantity else 0 end as sold_quantity,
        case when stocks.business_date = days.date_day then stocks.returned_quantity else 0 end as returned_quantity,
        case when stocks.business_date = days.date_day then stocks.adjusted_quantity else 0 end as adjusted_quantity,
        case when stocks.business_date = days.date_day then stocks.movement_count else 0 end as movement_count,
        stocks.closing_quantity
    from stocks
    cross join lateral ({{ date_series('stocks.business_date', 'stocks.last_date') }}) as dates
    inner join days on dates.date_day = days.date_day
)

select
    daily.product_key,
    coalesce(products.product_version_key, {{ unknown_key() }}) as product_version_key,
    daily.business_date,
    cast(daily.received_quantity as bigint) as received_quantity,
    cast(daily.sold_quantity as bigint) as sold_quantity,
    cast(daily.returned_quantity as bigint) as returned_quantity,
    cast(daily.adjusted_quantity as bigint) as adjusted_quantity,
    cast(daily.movement_count as bigint) as movement_count,
    cast(daily.closing_quantity as bigint) as closing_quantity,
    daily.closing_quantity <= 0 as is_stocked_out
from daily
left join {{ ref('dim_products') }} as products
    on
        daily.product_key = products.product_key
        and daily.ended_at > products.valid_from
        and daily.ended_at <= products.valid_to
