-- The days that metrics are given for: dim_dates goes on for years in which there is nothing yet.
with happened as (
    select min(business_date) as first_date, max(business_date) as last_date from {{ ref('fct_sales') }}
    union all
    select min(placed_date) as first_date, max(placed_date) as last_date from {{ ref('fct_orders') }}
    union all
    select min(paid_date) as first_date, max(paid_date) as last_date from {{ ref('fct_payments') }}
    union all
    select min(refunded_date) as first_date, max(refunded_date) as last_date from {{ ref('fct_refunds') }}
    union all
    select min(business_date) as first_date, max(business_date) as last_date from {{ ref('fct_inventory_daily') }}
),

bounds as (
    select
        min(first_date) as first_date,
        max(last_date) as last_date
    from happened
)

select dates.date_day
from {{ ref('dim_dates') }} as dates
inner join bounds on dates.date_day between bounds.first_date and bounds.last_date
where not dates.is_unknown
