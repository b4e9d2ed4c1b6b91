{{ config(indexes=[{'columns': ['days_of_cover', 'product_key']}]) }}

{%- set window_days = 28 -%}

with daily as (
    select * from {{ ref('fct_inventory_daily') }}
),

as_of as materialized (
    select max(business_date) as business_date
    from daily
),

windows as (
    select
        daily.product_key,
        as_of.business_date as as_of_date,
        count(*) as day_count,
        sum(daily.sold_quantity) as sold_quantity,
        sum(case when daily.is_stocked_out then 1 else 0 end) as stocked_out_day_count,
        sum(case when daily.business_date = as_of.business_date then daily.closing_quantity else 0 end)
            as on_hand_quantity
    from daily
    inner join as_of
        on
            daily.business_date > {{ add_days('as_of.business_date', -window_days) }}
            and daily.business_date <= as_of.business_date
    group by daily.product_key, as_of.business_date
),

covers as (
    select
        *,
        cast({{ safe_divide('sold_quantity', 'day_count') }} as numeric(18, 6)) as mean_daily_sold_quantity,
        cast({{ safe_divide(product('on_hand_quantity', 'day_count'), 'sold_quantity') }} as numeric(18, 6))
            as days_of_cover
    from windows
)

select
    product_key,
    as_of_date,
    cast(on_hand_quantity as bigint) as on_hand_quantity,
    mean_daily_sold_quantity,
    days_of_cover,
    cast(stocked_out_day_count as bigint) as stocked_out_day_count,
    case
        when on_hand_quantity <= 0 then 'out'
        when days_of_cover < 7 then 'high'
        when days_of_cover < 14 then 'medium'
        else 'low'
    end as risk_class
from covers
